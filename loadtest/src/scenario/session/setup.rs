//! From the options of the command line to addresses, paths and ways in.

use crate::cli::shared::TargetArgs;
use crate::layout::Layout;
use crate::publisher::recipe::Recipe;
use crate::scenario::ScenarioError;
use crate::server;
use crate::target::{self, AUTHORIZATION, Address, STREAM_PLACEHOLDERS, TargetError};
use crate::template::Template;

/// Fantail's default port for the Redis protocol.
pub(super) const FANTAIL_INGEST_PORT: u16 = 7379;

/// Replaces `{http}`, `{ingest}` and `{admin}` by free ports if this program starts the server.
pub(super) fn with_ports(target: &TargetArgs) -> Result<TargetArgs, ScenarioError> {
    let mut target = target.clone();
    let Some(spawn) = &target.spawn else {
        return Ok(target);
    };
    let names_ingest = spawn.contains("{ingest}");
    target.ports = Some(server::free_ports()?);
    let [_, ingest, _] = target.ports.unwrap_or_default();
    target.ingest_port = names_ingest.then_some(ingest);
    target.url = target.with_ports(&target.url);
    target.publish = target.publish.as_ref().map(|text| target.with_ports(text));
    target.spawn = target.spawn.as_ref().map(|text| target.with_ports(text));
    Ok(target)
}

pub(super) fn stream_address(target: &TargetArgs) -> Result<Address, TargetError> {
    let mut address = Address::parse("--url", &target.url, &["http", "https"], target.ca.clone())?;
    if target.preset.completes(&address.path) {
        target.preset.stream_path().clone_into(&mut address.path);
    }
    Template::new(&address.path, &STREAM_PLACEHOLDERS)?;
    Ok(address)
}

pub(super) fn stream_headers(target: &TargetArgs) -> Result<Vec<String>, TargetError> {
    let mut headers = target.header.clone();
    headers.extend(
        target
            .cookie
            .iter()
            .map(|cookie| format!("Cookie: {cookie}")),
    );
    for header in &headers {
        if !header.contains(':') {
            return Err(TargetError::Header {
                flag: "--header",
                text: header.clone(),
            });
        }
        Template::new(header, &STREAM_PLACEHOLDERS)?;
    }
    Ok(headers)
}

/// The ways to publish: from the user's options, or from the preset; the usual way first.
pub(super) fn recipes(
    target: &TargetArgs,
    streams: &Address,
    token: Option<&String>,
) -> Result<Vec<Recipe>, TargetError> {
    let origin = format!("{}://{}", streams.scheme, streams.endpoint.host);
    let urls = match &target.publish {
        Some(url) => vec![url.clone()],
        None => {
            let port = target.ingest_port.unwrap_or(FANTAIL_INGEST_PORT);
            target.preset.publish_urls(&origin, &streams.host, port)
        }
    };
    let recipe = |url: &String| {
        let allowed = &["http", "https", "resp", "redis"];
        let address = Address::parse("--publish", url, allowed, target.ca.clone())?;
        Recipe::new(&address, target.preset, &target.wishes(token.cloned()))
    };
    urls.iter().map(recipe).collect()
}

/// Makes sure that the token of each stream is sent once, and that it exists if it is to be sent.
pub(super) fn place_token(
    path: &str,
    headers: &mut Vec<String>,
    tokens: bool,
) -> Result<(), TargetError> {
    let has = |text: &str| Template::new(text, &STREAM_PLACEHOLDERS).map(|it| it.has("token"));
    let mut asked = has(path)?;
    for header in headers.iter() {
        asked |= has(header)?;
    }
    match (tokens, asked) {
        (false, true) => Err(TargetError::NoToken(
            "--url, --header, --cookie",
            "--token-claims",
        )),
        (true, false)
            if headers
                .iter()
                .any(|header| target::is_authorization(header)) =>
        {
            Err(TargetError::TokenUnused("--header", "--token-claims"))
        }
        (true, false) => {
            headers.push(AUTHORIZATION.to_owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checks that every stream's request can name its topics.
pub(super) fn check_topics(
    path: &str,
    headers: &[String],
    layout: &Layout,
) -> Result<(), TargetError> {
    let has = |name: &str| {
        let texts = headers.iter().map(String::as_str).chain([path]);
        let mut templates = texts.flat_map(|text| Template::new(text, &STREAM_PLACEHOLDERS));
        templates.any(|template| template.has(name))
    };
    if layout.each() > 1 && !has("topics") && !has("i") {
        return Err(TargetError::Topics(path.to_owned(), layout.each()));
    }
    if layout.pool() > 1 && !has("topics") && !has("topic") && !has("i") {
        return Err(TargetError::Pool(path.to_owned(), layout.pool()));
    }
    Ok(())
}
