// Checks an app package for Teams, as an upload would:
//
//   node teams-package.cjs PACKAGE.zip
//
// The manifest has to be valid by Microsoft's schema of its version, which @microsoft/app-manifest contains.
// The icons have to be PNG files of the right size, and the outline has to be white on a transparent
// background. The script prints every fault, and uses no network.
"use strict";
const fs = require("node:fs");
const zlib = require("node:zlib");

globalThis.fetch = (url) => {
  throw new Error(`@microsoft/app-manifest has no copy of ${url}; use a manifest version that the package contains`);
};
const { AppManifestUtils } = require("@microsoft/app-manifest/build/generated-types");

// Reads the files of a zip by its central directory.
function unzip(zip) {
  const end = zip.lastIndexOf("PK\x05\x06");
  if (end < 0) throw new Error("expected a zip, found no end of its directory");
  const files = new Map();
  let at = zip.readUInt32LE(end + 16);
  for (let count = zip.readUInt16LE(end + 10); count > 0; count--) {
    if (zip.toString("latin1", at, at + 4) !== "PK\x01\x02") throw new Error("the zip's directory is broken");
    const [method, size, nameLength] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20), zip.readUInt16LE(at + 28)];
    const local = zip.readUInt32LE(at + 42);
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const stored = zip.subarray(start, start + size);
    const content = method === 0 ? stored : zlib.inflateRawSync(stored);
    if (crc32(content) !== zip.readUInt32LE(at + 16)) throw new Error(`${name}: wrong checksum`);
    files.set(name, content);
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return files;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

// The size of a PNG file with 8 bits for each channel, and its pixels as arrays of channels.
function decode(png) {
  if (png.toString("latin1", 0, 8) !== "\x89PNG\r\n\x1a\n") throw new Error("expected a PNG file");
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const [bits, kind, interlace] = [png[24], png[25], png[28]];
  const channels = { 2: 3, 6: 4 }[kind];
  if (bits !== 8 || !channels || interlace) throw new Error("expected RGB or RGBA with 8 bits, not interlaced");
  const data = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") data.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = zlib.inflateSync(Buffer.concat(data));
  const stride = width * channels;
  const pixels = [];
  let above = Buffer.alloc(stride);
  for (let row = 0; row < height; row++) {
    const filter = raw[row * (stride + 1)];
    if (filter !== 0) throw new Error("expected rows without a filter");
    above = raw.subarray(row * (stride + 1) + 1, (row + 1) * (stride + 1));
    for (let column = 0; column < width; column++) pixels.push([...above.subarray(column * channels, (column + 1) * channels)]);
  }
  return { width, height, channels, pixels };
}

function icon(files, name, size, faults) {
  try {
    if (!files.has(name)) throw new Error("is missing in the package");
    const image = decode(files.get(name));
    if (image.width !== size || image.height !== size) {
      throw new Error(`expected ${size} x ${size} pixels, found ${image.width} x ${image.height}`);
    }
    return image;
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
    return undefined;
  }
}

async function main() {
  const files = unzip(fs.readFileSync(process.argv[2]));
  const faults = [];
  const manifest = JSON.parse(files.get("manifest.json").toString("utf8"));
  if (Number(manifest.manifestVersion?.split(".")[1]) < 19) faults.push("manifestVersion: expected 1.19 or newer");
  for (const fault of await AppManifestUtils.validateAgainstSchema(manifest)) faults.push(`manifest.json: ${fault}`);
  if (manifest.id === manifest.bots?.[0]?.botId) faults.push("manifest.json: id and botId are equal");
  icon(files, manifest.icons?.color, 192, faults);
  const outline = icon(files, manifest.icons?.outline, 32, faults);
  const isWhite = ([red, green, blue, alpha]) => alpha === 0 || (red === 255 && green === 255 && blue === 255);
  if (outline && (outline.channels !== 4 || !outline.pixels.every(isWhite))) {
    faults.push("outline.png: expected white on a transparent background only");
  }
  if (outline && !outline.pixels.some((pixel) => pixel[3] === 0)) faults.push("outline.png: nothing is transparent");
  if (outline && !outline.pixels.some((pixel) => pixel[3] === 255)) faults.push("outline.png: nothing is visible");
  const names = ["manifest.json", manifest.icons?.color, manifest.icons?.outline];
  for (const name of files.keys()) if (!names.includes(name)) faults.push(`${name}: the package needs no such file`);
  for (const fault of faults) console.error(`${process.argv[2]}: ${fault}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`${process.argv[2]}: ${error.message}`);
  process.exitCode = 1;
});
