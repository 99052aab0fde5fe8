use std::net::SocketAddr;

use crate::support::resp::Client;

/// One event to publish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) topics: &'a [&'a str],
    pub(crate) data: &'a str,
    pub(crate) event: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) private: bool,
    pub(crate) key: Option<&'a str>,
}

/// A publisher on the ingest port.
pub(crate) struct Publisher {
    client: Client,
    mark: String,
}

impl Publisher {
    pub(crate) fn open(to: SocketAddr) -> Self {
        let mut client = Client::open(to);
        client.send(&["INFO", "fantail"]);
        let length = client.line();
        let mut left: usize = length[1..].parse().expect("a length");
        let mut mark = None;
        while left > 0 {
            let line = client.line();
            left -= line.len() + 2;
            mark = mark.or(line.strip_prefix("event_id_mark:").map(str::to_owned));
        }
        assert_eq!(client.line(), "");
        Self {
            client,
            mark: mark.expect("the mark of the node's ids"),
        }
    }

    /// Publishes one event; its id.
    pub(crate) fn publish(&mut self, topic: &str, data: &str) -> String {
        self.send(&Draft {
            topics: &[topic],
            data,
            ..Draft::default()
        });
        self.id()
    }

    /// Publishes events that are `count` pieces of data from `data`, in one pipeline; their ids.
    pub(crate) fn publish_all(
        &mut self,
        topic: &str,
        data: impl Iterator<Item = String>,
    ) -> Vec<String> {
        let mut count = 0;
        for data in data {
            self.send(&Draft {
                topics: &[topic],
                data: &data,
                ..Draft::default()
            });
            count += 1;
        }
        (0..count).map(|_| self.id()).collect()
    }

    /// Sends one event without waiting for its id.
    pub(crate) fn send(&mut self, draft: &Draft<'_>) {
        let (canonical, others) = draft.topics.split_first().expect("a topic");
        let mut words = vec!["XADD", canonical, "*", "data", draft.data];
        for other in others {
            words.extend(["topic", other]);
        }
        for (field, value) in [("event", draft.event), ("id", draft.id), ("key", draft.key)] {
            words.extend(value.into_iter().flat_map(|value| [field, value]));
        }
        if draft.private {
            words.extend(["private", "1"]);
        }
        self.client.send(&words);
    }

    /// The id of the next event that was sent, as streams are sent it.
    pub(crate) fn id(&mut self) -> String {
        let length = self.client.line();
        assert!(length.starts_with('$'), "XADD was answered {length:?}");
        format!("{}.{}", self.client.line(), self.mark)
    }
}
