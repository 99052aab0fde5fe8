//! From the options of the command line to the signing keys, and to the tokens that are needed
//! before anything is measured.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::cli::shared::{TargetArgs, TokenArgs};
use crate::crew::Crew;
use crate::layout::Layout;
use crate::progress::Stage;
use crate::scenario::ScenarioError;
use crate::target::is_authorization;
use crate::token::{self, Claims, Key, TokenError};
use crate::units;

/// The tokens of a run.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The order from which the client processes make those of streams.
    pub(super) streams: Option<token::Order>,
    /// The one of publishing.
    pub(super) publish: Option<String>,
}

impl Tokens {
    /// Reads the key, and tries everything that the client processes will do once.
    pub(super) fn new(
        args: &TokenArgs,
        target: &TargetArgs,
        layout: &Layout,
    ) -> Result<Self, TokenError> {
        let algorithm = args.token_algorithm;
        let key = match (&args.token_key, &args.token_secret) {
            (Some(path), _) => Some(Key::file(path, algorithm)?),
            (None, Some(text)) => Some(Key::secret("--token-secret", text.as_bytes(), algorithm)?),
            (None, None) => None,
        };
        let Some(key) = key else {
            return Ok(Self {
                streams: None,
                publish: None,
            });
        };
        let said = args.publish_token_claims.as_deref();
        let own = |header: &String| is_authorization(header) && !header.contains("{token}");
        let usual = match target.publish_header.iter().any(own) {
            true => None,
            false => target.preset.publish_claims(),
        };
        let publish = match said.or(usual) {
            Some(text) => Some(key.sign(&token::parse("--publish-token-claims", text)?)?),
            None if args.token_claims.is_none() => return Err(TokenError::NothingToSign),
            None => None,
        };
        let streams = args.token_claims.as_ref().map(|claims| token::Order {
            key,
            claims: claims.clone(),
            expires: args.token_exp.map(|time| now() + time.as_secs()),
        });
        if let Some(order) = &streams {
            let claims = Claims::new(&order.claims, order.expires, layout)?;
            order.key.sign(&claims.of(layout, 0)?)?;
        }
        Ok(Self { streams, publish })
    }
}

/// Has all tokens of streams made before streams are opened.
pub(super) fn make_tokens(crew: &mut Crew, streams: usize) -> Result<(), ScenarioError> {
    let stage = Stage::open_ended("making tokens");
    let start = Instant::now();
    crew.make_tokens(streams)?;
    let (streams, took) = (units::count(streams as u64), start.elapsed().as_secs_f64());
    stage.done(&format!(
        "made the tokens of {streams} streams in {took:.2} s"
    ));
    Ok(())
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
