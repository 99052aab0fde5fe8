//! The applications of the document, by the headings of their code.

/// Which application.
pub(super) struct Recipe {
    /// What a framework makes for a new project, a folder in `tests/`.
    pub(super) project: Option<&'static str>,
    /// Headings of the document.
    pub(super) headings: &'static [&'static str],
    /// Variables besides those of every application.
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// Whether events wait in the client while the node is away.
    pub(super) waits: bool,
    /// Whether an event is sent again, without a key, if the connection breaks before its reply.
    pub(super) resends: bool,
}

pub(super) const EXPRESS_NODE_REDIS: Recipe = Recipe {
    project: None,
    headings: &["The page", "Express", "Express: node-redis"],
    variables: &[],
    waits: true,
    resends: false,
};
pub(super) const EXPRESS_IOREDIS: Recipe = Recipe {
    headings: &["The page", "Express", "Express: ioredis"],
    ..EXPRESS_NODE_REDIS
};
pub(super) const FLASK: Recipe = Recipe {
    project: None,
    headings: &["Flask"],
    variables: &[],
    waits: false,
    resends: false,
};
pub(super) const FASTAPI: Recipe = Recipe {
    headings: &["FastAPI"],
    ..FLASK
};
pub(super) const DJANGO: Recipe = Recipe {
    project: Some("python/django"),
    headings: &["Django"],
    ..FLASK
};
pub(super) const RAILS: Recipe = Recipe {
    project: Some("ruby/rails"),
    headings: &["Rails"],
    resends: true,
    ..FLASK
};
pub(super) const LARAVEL_PREDIS: Recipe = Recipe {
    project: Some("php/laravel"),
    headings: &["Laravel", "Laravel: Predis"],
    variables: &[("REDIS_CLIENT", "predis")],
    ..FLASK
};
pub(super) const LARAVEL_PHPREDIS: Recipe = Recipe {
    headings: &["Laravel", "Laravel: phpredis"],
    variables: &[("REDIS_CLIENT", "phpredis")],
    ..LARAVEL_PREDIS
};

pub(super) const ALL: [&Recipe; 8] = [
    &EXPRESS_NODE_REDIS,
    &EXPRESS_IOREDIS,
    &FLASK,
    &FASTAPI,
    &DJANGO,
    &RAILS,
    &LARAVEL_PREDIS,
    &LARAVEL_PHPREDIS,
];
