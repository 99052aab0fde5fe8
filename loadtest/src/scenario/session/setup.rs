//! From the options of the command line to header fields, tokens and ways in.

use crate::cli::shared::TargetArgs;
use crate::layout::Layout;
use crate::publisher::recipe::Recipe;
use crate::target::{self, AUTHORIZATION, STREAM_PLACEHOLDERS, TargetError};
use crate::template::Template;

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

/// The ways in, each with the recipes of all nodes.
pub(super) fn by_way(recipes: impl Iterator<Item = Recipe>) -> Vec<Vec<Recipe>> {
    let mut ways: Vec<Vec<Recipe>> = Vec::new();
    for recipe in recipes {
        let is_same = |way: &&mut Vec<Recipe>| way[0].is_resp() == recipe.is_resp();
        match ways.iter_mut().find(is_same) {
            Some(way) => way.push(recipe),
            None => ways.push(vec![recipe]),
        }
    }
    ways
}

/// Makes sure that the token of each stream is sent once, and that it exists if it is to be sent.
pub(super) fn place_token(
    paths: &[&str],
    headers: &mut Vec<String>,
    tokens: bool,
) -> Result<(), TargetError> {
    let has = |text: &str| Template::new(text, &STREAM_PLACEHOLDERS).map(|it| it.has("token"));
    let mut asked = false;
    let fields = headers.iter().map(String::as_str);
    for text in paths.iter().copied().chain(fields) {
        asked |= has(text)?;
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
