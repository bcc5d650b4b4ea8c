//! The configuration variable `certificate`: an RSA private key and its certificate, as one text of PEM
//! blocks. With this key, the bot proves its identity to Entra (Microsoft's identity service).

use std::convert::Infallible;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use platform::Randomness;
use rsa::pkcs1::RsaPrivateKey as Pkcs1Key;
use rsa::pkcs1::der::Decode;
use rsa::pkcs1::der::asn1::UintRef;
use rsa::pkcs8::PrivateKeyInfoRef;
use rsa::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::error::TokenRefusal;

/// An RSA private key, and the thumbprint of its certificate. The operator uploads the certificate to the
/// bot's app registration in Entra.
#[derive(Clone)]
pub struct Certificate {
    /// The key in PKCS#1, as DER. A PKCS#8 key is converted to this form.
    private_key: Vec<u8>,
    /// `x5t#S256`: the SHA-256 of the certificate in DER, as base64url (RFC 7515 section 4.1.8).
    thumbprint: String,
}

/// A fault in the value of `certificate`. No error text repeats a part of the value, because the value is
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// There is no private key.
    #[error(
        "has no private key; add `-----BEGIN PRIVATE KEY-----` (PKCS#8) or `-----BEGIN RSA PRIVATE KEY-----` (PKCS#1)"
    )]
    NoPrivateKey,
    /// The private key is encrypted with a passphrase.
    #[error("has a private key with a passphrase; remove the passphrase")]
    Encrypted,
    /// The private key is damaged, is not RSA, or does not have 2048 to 4096 bits.
    #[error("has a private key that is damaged or not RSA; use an RSA key of 2048 to 4096 bits")]
    UnusablePrivateKey,
    /// There is no certificate.
    #[error("has no certificate; add the `-----BEGIN CERTIFICATE-----` that belongs to the private key")]
    NoCertificate,
    /// None of the certificates in the text belongs to the private key.
    #[error("has a certificate that does not belong to the private key; add the certificate of this key")]
    NotAPair,
}

impl Certificate {
    /// Reads the PEM text. The blocks can have any order, and the text can also hold certificates of other
    /// keys.
    pub fn parse(pem: &str) -> Result<Self, CertificateError> {
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        for (label, body) in pem_blocks(pem) {
            let der = decode(body);
            match label {
                "ENCRYPTED PRIVATE KEY" => return Err(CertificateError::Encrypted),
                // An encrypted PKCS#1 key has the header `Proc-Type: 4,ENCRYPTED` (RFC 1421).
                "RSA PRIVATE KEY" if body.contains("ENCRYPTED") => return Err(CertificateError::Encrypted),
                "RSA PRIVATE KEY" => keys.push(der.ok_or(CertificateError::UnusablePrivateKey)?),
                "PRIVATE KEY" => {
                    keys.push(
                        der.and_then(|der| pkcs1_of_pkcs8(&der))
                            .ok_or(CertificateError::UnusablePrivateKey)?,
                    );
                }
                "CERTIFICATE" => certificates.extend(der),
                _ => {}
            }
        }
        let private_key = keys.into_iter().next().ok_or(CertificateError::NoPrivateKey)?;
        let parsed = rsa_key(&private_key).ok_or(CertificateError::UnusablePrivateKey)?;
        let modulus = parsed.modulus.as_bytes();
        if !(256..=512).contains(&modulus.len()) {
            return Err(CertificateError::UnusablePrivateKey);
        }
        if certificates.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        // A certificate contains the modulus of its key, byte for byte. The modulus has at least 256 bytes,
        // so a match by chance is impossible in practice. Therefore, a search for the modulus finds the right
        // certificate, and no parser for X.509 is needed.
        let own = certificates.iter().find(|der| der.windows(modulus.len()).any(|window| window == modulus));
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(own.ok_or(CertificateError::NotAPair)?));
        Ok(Self { private_key, thumbprint })
    }

    /// The thumbprint of the certificate, in the form of `x5t#S256`.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The bytes of the private key in PKCS#1, even if the variable holds the key in PKCS#8. So both forms of
    /// the key give the same bytes.
    pub(super) fn secret_bytes(&self) -> &[u8] {
        &self.private_key
    }

    /// Signs with PS256: RSASSA-PSS with SHA-256 (RFC 7518 section 3.5). `random` gives the random numbers
    /// for the salt and for blinding. Without blinding, the time of the calculation could reveal the key
    /// (RUSTSEC-2023-0071).
    pub(super) fn sign(&self, message: &[u8], random: &impl Randomness) -> Result<Vec<u8>, TokenRefusal> {
        let key = rsa_key(&self.private_key).and_then(|key| rsa::PrivateKey::try_from(key).ok());
        let key = key.ok_or(TokenRefusal::UnusableKey)?;
        key.pss_sign_with_rng::<Sha256, _>(&mut Random(random), message)
            .map_err(|_| TokenRefusal::UnusableKey)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

fn rsa_key(der: &[u8]) -> Option<Pkcs1Key<UintRef<'_>>> {
    Pkcs1Key::from_der(der).ok()
}

fn pkcs1_of_pkcs8(der: &[u8]) -> Option<Vec<u8>> {
    let info = PrivateKeyInfoRef::from_der(der).ok()?;
    (info.algorithm.oid == rsa::pkcs1::ALGORITHM_OID).then(|| info.private_key.as_bytes().to_owned())
}

/// The blocks of a PEM text: pairs of label and body.
fn pem_blocks(pem: &str) -> impl Iterator<Item = (&str, &str)> {
    pem.split("-----BEGIN ").skip(1).filter_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        let (body, _) = rest.split_once("-----END ")?;
        Some((label, body))
    })
}

/// Decodes the body of a PEM block. The function is less strict than RFC 7468: it also accepts spaces and the
/// two characters `\n` as line ends. A shell, a YAML file or a vault can change line ends in this way.
fn decode(body: &str) -> Option<Vec<u8>> {
    let base64: String = body.replace("\\r", "").replace("\\n", "").split_whitespace().collect();
    STANDARD.decode(base64).ok()
}

/// The host's random numbers, in the form that `rsa` needs.
struct Random<'a, R>(&'a R);

impl<R: Randomness> TryRng for Random<'_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buffer);
        Ok(())
    }
}

/// [`Randomness`] promises bytes that cannot be guessed.
impl<R: Randomness> TryCryptoRng for Random<'_, R> {}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    const PKCS8: &str = include_str!("../../tests/keys/pkcs8.pem");
    const PKCS1: &str = include_str!("../../tests/keys/pkcs1.pem");
    const OWN: &str = include_str!("../../tests/keys/certificate.pem");
    const OTHER: &str = include_str!("../../tests/keys/other-certificate.pem");
    /// The output of `openssl x509 -outform der | sha256sum`, as base64url.
    const THUMBPRINT: &str = "Pjt0bBVCnjTOJpszfS1yzjicseZ4VfhyEmgFfeTRUEQ";

    #[test]
    fn pem_blocks_in_any_order_and_format_are_read() {
        let unix = format!("{PKCS8}{OWN}");
        for pem in [
            unix.clone(),
            format!("{PKCS1}{OWN}"),
            format!("{OWN}{PKCS8}"),
            format!("Bag Attributes\n  friendlyName: x\n{OTHER}{OWN}\nkey:\n{PKCS1}"),
            unix.replace('\n', "\r\n"),
            unix.replace('\n', " "),
            unix.replace('\n', "\\n"),
            unix.replace('\n', "\\r\\n"),
        ] {
            let certificate = Certificate::parse(&pem).unwrap_or_else(|error| panic!("{error}\n{pem}"));
            assert_eq!(certificate.thumbprint(), THUMBPRINT, "{pem}");
            let first = Certificate::parse(&unix).unwrap();
            assert_eq!(certificate.secret_bytes(), first.secret_bytes(), "same key: {pem}");
        }
    }

    #[test]
    fn certificate_variable_with_a_fault_is_refused() {
        let damaged = PKCS8.replacen("MII", "MIX", 1);
        for (pem, expected) in [
            (String::new(), CertificateError::NoPrivateKey),
            ("no PEM at all".into(), CertificateError::NoPrivateKey),
            (OWN.into(), CertificateError::NoPrivateKey),
            (PKCS8.into(), CertificateError::NoCertificate),
            (PKCS8.replace("-----END", ""), CertificateError::NoPrivateKey),
            (format!("{PKCS8}{OTHER}"), CertificateError::NotAPair),
            (format!("{damaged}{OWN}"), CertificateError::UnusablePrivateKey),
            (format!("{}{OWN}", PKCS1.replacen("MII", "!II", 1)), CertificateError::UnusablePrivateKey),
            (
                format!("{}{OWN}", include_str!("../../tests/keys/ec.pem")),
                CertificateError::UnusablePrivateKey,
            ),
            (
                format!("{}{OWN}", include_str!("../../tests/keys/small.pem")),
                CertificateError::UnusablePrivateKey,
            ),
            (format!("{}{OWN}", include_str!("../../tests/keys/encrypted.pem")), CertificateError::Encrypted),
            (
                format!("{}{OWN}", include_str!("../../tests/keys/encrypted-pkcs1.pem")),
                CertificateError::Encrypted,
            ),
        ] {
            assert_eq!(Certificate::parse(&pem).expect_err(&pem), expected, "{pem}");
        }
    }

    #[test]
    fn certificate_signs_with_ps256() {
        let (certificate, host) =
            (Certificate::parse(&format!("{PKCS8}{OWN}")).unwrap(), FakeHost::default());
        let key =
            rsa::PrivateKey::try_from(rsa_key(&certificate.private_key).unwrap()).unwrap().to_public_key();
        let (first, second) =
            (certificate.sign(b"hello", &host).unwrap(), certificate.sign(b"hello", &host).unwrap());
        for signature in [&first, &second] {
            key.pss_verify::<Sha256>(b"hello", signature)
                .expect("a PS256 signature with a salt as long as the hash");
        }
        assert_ne!(first, second, "the salt must be random");
        assert!(key.pss_verify::<Sha256>(b"hallo", &first).is_err());
    }

    #[test]
    fn certificate_whose_private_key_was_changed_signs_nothing() {
        let mut certificate = Certificate::parse(&format!("{PKCS8}{OWN}")).unwrap();
        let last = certificate.private_key.len() - 200;
        certificate.private_key[last - 400] ^= 1;
        assert_eq!(certificate.sign(b"hello", &FakeHost::default()), Err(TokenRefusal::UnusableKey));
    }

    #[test]
    fn certificate_in_debug_output_is_masked() {
        let certificate = Certificate::parse(&format!("{PKCS8}{OWN}")).unwrap();
        assert_eq!(format!("{certificate:?}"), format!("Certificate {{ thumbprint: {THUMBPRINT:?}, .. }}"));
    }
}
