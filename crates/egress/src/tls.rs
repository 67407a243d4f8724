//! TLS: one provider, named explicitly; the machine's trust anchors and, if configured, more.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::door::SetupError;

/// Builds the client's TLS configuration. `extra_roots_pem` are PEM texts of additional authorities.
///
/// The first answer speaks HTTP/1.1, the second HTTP/2.
pub(crate) fn client_configs(
    extra_roots_pem: &[Vec<u8>],
) -> Result<(Arc<ClientConfig>, Arc<ClientConfig>), SetupError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a trust anchor of the machine could not be read");
    }
    roots.add_parsable_certificates(native.certs);
    for pem in extra_roots_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| SetupError::Authority(error.to_string()))?;
            roots.add(certificate).map_err(|error| SetupError::Authority(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut newer = config.clone();
    newer.alpn_protocols = vec![b"h2".to_vec()];
    Ok((Arc::new(config), Arc::new(newer)))
}
