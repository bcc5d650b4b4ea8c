// Checks a Grafana dashboard against Grafana's own types:
//
//   node grafana-dashboard.cjs DASHBOARD.json
//
// The types are those of @grafana/schema. The TypeScript compiler checks the JSON as a literal, so it also
// finds members that no type has. The script prints every fault, and uses no network.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const ts = require("typescript");

const types = path.dirname(require.resolve("@grafana/schema/package.json")) + "/dist/types/raw";

// The types of panel that the dashboard is allowed to have, each with the module of its options.
const PANELS = {
  stat: "composable/stat/panelcfg/x/types.gen",
  timeseries: "composable/timeseries/panelcfg/x/types.gen",
};

// TypeScript does not accept a text in place of a member of an enum, and JSON has only texts. So each enum
// becomes the union of its texts.
const PRELUDE = `
import type { Dashboard, Panel } from "${types}/dashboard/x/types.gen";
type Plain<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
`;

function source(dashboard) {
  const { panels, ...rest } = dashboard;
  const imports = Object.entries(PANELS).map(
    ([kind, module]) => `import type * as ${kind} from "${types}/${module}";\n`,
  );
  const checks = panels.map((panel, index) => {
    if (!PANELS[panel.type]) throw new Error(`panel ${panel.id}: the type ${panel.type} is not in PANELS of this script`);
    const { options, fieldConfig, ...outer } = panel;
    const { custom, ...defaults } = fieldConfig.defaults;
    const fields = `Plain<${panel.type}.FieldConfig>`;
    const literal = (name, type, value) => `const ${name}${index}: ${type} = ${JSON.stringify(value, null, 1)};\n`;
    return (
      literal("panel", "Plain<Panel>", { ...outer, fieldConfig: { ...fieldConfig, defaults } }) +
      literal("options", `Partial<Plain<${panel.type}.Options>>`, options) +
      (custom ? literal("custom", fields, custom) : "")
    );
  });
  return imports.join("") + PRELUDE + `const dashboard: Plain<Dashboard> = ${JSON.stringify(rest, null, 1)};\n` + checks.join("");
}

function faults(text) {
  const name = path.join(__dirname, "dashboard-under-check.ts");
  const options = {
    strict: true, noEmit: true, skipLibCheck: true, types: [],
    module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (file, version, ...rest) =>
    file === name ? ts.createSourceFile(name, text, version) : getSourceFile.call(host, file, version, ...rest);
  host.fileExists = (file) => file === name || fileExists.call(host, file);
  host.readFile = (file) => (file === name ? text : readFile.call(host, file));
  const program = ts.createProgram([name], options, host);
  return ts.getPreEmitDiagnostics(program).map((fault) => {
    const message = ts.flattenDiagnosticMessageText(fault.messageText, " ");
    if (!fault.file) return message;
    const { line } = fault.file.getLineAndCharacterOfPosition(fault.start);
    return `${message}\n    ${fault.file.text.split("\n")[line].trim()}`;
  });
}

const dashboard = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const found = faults(source(dashboard));
for (const fault of found) console.error(fault);
process.exitCode = found.length ? 1 : 0;
