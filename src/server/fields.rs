//! Header fields of every answer to a request.

use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Header fields that every answer to one request has, whether a service, the listener or the shard
/// writes it. An empty set costs no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Option<Arc<Vec<(HeaderName, HeaderValue)>>>);

impl Fields {
    /// Adds them to a response.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in self.iter() {
            headers.append(name, value.clone());
        }
    }

    /// Iterates over the fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter().flat_map(|fields| fields.iter())
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let fields: Vec<_> = fields.into_iter().collect();
        Self((!fields.is_empty()).then(|| Arc::new(fields)))
    }
}
