//! The tokens of a client process, end to end in one buffer: a String each would cost a quarter
//! more, and an allocation a stream.

use super::{Claims, Order, TokenError};
use crate::layout::Layout;

/// Tokens by the number of the stream within its process.
#[derive(Debug, Default)]
pub(crate) struct Store {
    text: String,
    /// The end of each; a single one for all streams if they are equal.
    ends: Vec<usize>,
    same_for_all: bool,
}

impl Store {
    /// Makes the tokens of these streams, given by their numbers among those of all processes.
    pub(crate) fn make(
        order: &Order,
        layout: &Layout,
        streams: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Self, TokenError> {
        let claims = Claims::new(&order.claims, order.expires, layout)?;
        let signer = order.key.signer()?;
        let mut store = Self {
            same_for_all: claims.same_for_all(),
            ..Self::default()
        };
        let most = if store.same_for_all { 1 } else { streams.len() };
        store.ends.reserve_exact(most);
        for stream in streams.take(most) {
            let claims = claims.of(layout, stream)?;
            order.key.append(&signer, &claims, &mut store.text)?;
            store.ends.push(store.text.len());
            if store.ends.len() == 1 {
                // All are about as long as the first.
                store.text.reserve(store.text.len() * (most - 1));
            }
        }
        store.text.shrink_to_fit();
        Ok(store)
    }

    /// The token of a stream; empty if there are none.
    pub(crate) fn get(&self, number: usize) -> &str {
        let number = if self.same_for_all { 0 } else { number };
        let end = self.ends.get(number).copied().unwrap_or_default();
        let before = number.checked_sub(1);
        let start = before.and_then(|before| self.ends.get(before)).copied();
        self.text
            .get(start.unwrap_or_default()..end)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::token::Key;

    fn store(claims: &str) -> Store {
        let layout = Layout::new("t{i}", 1, None, 1_000).expect("adds up");
        let order = Order {
            key: Key::secret("--token-secret", b"secret", None).expect("a key"),
            claims: claims.to_owned(),
            expires: None,
        };
        // Process 1 of 2.
        let streams = (0..500).map(|number| number * 2 + 1);
        Store::make(&order, &layout, streams).expect("tokens")
    }

    fn claims(token: &str) -> String {
        let middle = token.split('.').nth(1).expect("three parts");
        let bytes = URL_SAFE_NO_PAD.decode(middle).expect("base64");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn every_stream_has_its_own() {
        let store = store(r#"{"sub":"{topic}"}"#);
        let all: HashSet<&str> = (0..500).map(|number| store.get(number)).collect();
        assert_eq!(all.len(), 500);
        assert_eq!(claims(store.get(0)), r#"{"sub":"t1"}"#);
        assert_eq!(claims(store.get(499)), r#"{"sub":"t999"}"#);
        assert_eq!(store.get(500), "");
    }

    #[test]
    fn one_does_for_all_that_say_the_same() {
        let store = store(r#"{"sub":"x"}"#);
        assert_eq!(claims(store.get(499)), r#"{"sub":"x"}"#);
        assert_eq!(store.ends.len(), 1);
    }

    #[test]
    fn without_tokens_there_are_none() {
        assert_eq!(Store::default().get(3), "");
    }
}
