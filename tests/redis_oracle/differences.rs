//! Intended differences. A row of the table in `docs/PROTOCOL.md` has the reason.

/// The differences, by the rows of the table in `docs/PROTOCOL.md`.
pub(crate) const DIFFERENT: &[(&str, &[&str])] = &[
    (
        "everything",
        &[
            "PUBLISH {t} \"\\xff\"",
            "PUBLISH \"\\xff\" x",
            "PUBLISH '' x",
            "XADD {t} * a \"\\xff\"",
            "SET {t} x",
            "DEL {t}",
        ],
    ),
    (
        "`SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE`, `MONITOR`, `XREADGROUP`",
        &[
            "SUBSCRIBE {t}",
            "PSUBSCRIBE {t}",
            "SSUBSCRIBE {t}",
            "XREADGROUP GROUP g c STREAMS {t} >",
            "MULTI\nSUBSCRIBE {t}\nEXEC",
        ],
    ),
    (
        "`PUBLISH`",
        &["PUBLISH {t} x\nXLEN {t}", "PUBLISH {t} x\nXRANGE {t} - +"],
    ),
    (
        "`MULTI`",
        &[
            "MULTI\nXADD {t} 0-0 data x\nPING\nEXEC",
            "MULTI\nXADD {t} x data y\nPING\nEXEC",
            "MULTI\nEVAL x y\nPING\nEXEC",
            "MULTI\nEVALSHA x 0\nPING\nEXEC",
            "MULTI\nPUBLISH {t} \"\\xff\"\nPUBLISH {t} x\nEXEC",
        ],
    ),
    (
        "`EXEC`",
        &["MULTI\nXADD {t} * data x\nXLEN {t}\nXADD {t} * data y\nXLEN {t}\nEXEC"],
    ),
    ("`WATCH`", &["WATCH {t}\nPUBLISH {t} x\nMULTI\nPING\nEXEC"]),
    (
        "`EVAL`, `EVALSHA`",
        &[
            "EVAL \"return {1}\" 0",
            "EVAL \"return redis.call('ping')\" 0",
            "EVAL \"foo\" 0",
            "EVAL \"redis.pcall('publish', 'a', nil) return 1\" 0",
            "SCRIPT LOAD \"return {}\"",
        ],
    ),
    (
        "`SCRIPT`",
        &["SCRIPT KILL", "SCRIPT DEBUG NO", "SCRIPT HELP"],
    ),
    ("`XADD` id", &["XADD {t} 5-1 data x", "XADD {t} 5-* data x"]),
    (
        "`XADD … MAXLEN`, `MINID`",
        &["XADD {t} * data x\nXADD {t} MAXLEN 1 * data y\nXLEN {t}"],
    ),
    (
        "`XADD … NOMKSTREAM`",
        &["PUBLISH {t} x\nXADD {t} NOMKSTREAM * data y"],
    ),
    (
        "`XADD` fields",
        &[
            "XADD {t} * data x data y",
            "XADD {t} * a b a c",
            "XADD {t} * data x a b",
            "XADD {t} * retry x",
            "XADD {t} * private x",
        ],
    ),
    (
        "`XRANGE`, `XREVRANGE`, `XREAD`",
        &[
            "XADD {t} * a b\nXRANGE {t} - +",
            "XADD {t} * data \"a\\r\\nb\"\nXRANGE {t} - +",
            "XADD {t} * event x data y\nXREAD STREAMS {t} 0",
        ],
    ),
    ("`XREAD … BLOCK`", &["XREAD BLOCK 1 STREAMS {t} 0"]),
    (
        "`XTRIM`, `XDEL`, `XGROUP …`, `XINFO …`",
        &[
            "XTRIM {t} MAXLEN 1",
            "XDEL {t} 1",
            "XGROUP CREATE {t} g $",
            "XINFO STREAM {t}",
        ],
    ),
    (
        "`CLIENT`",
        &[
            "CLIENT KILL x",
            "CLIENT PAUSE 0",
            "CLIENT UNPAUSE",
            "CLIENT TRACKING off",
            "CLIENT CACHING yes",
            "CLIENT HELP",
        ],
    ),
    ("`INFO`", &["INFO", "INFO fantail"]),
    (
        "`COMMAND`, `CLIENT LIST`, `CLIENT INFO`",
        &[
            "COMMAND COUNT",
            "COMMAND LIST",
            "COMMAND GETKEYS GET x",
            "COMMAND INFO get",
            "CLIENT INFO",
            "COMMAND HELP",
        ],
    ),
    (
        "`CONFIG`",
        &[
            "CONFIG SET timeout 0",
            "CONFIG GET *",
            "CONFIG GET dir",
            "CONFIG RESETSTAT",
            "CONFIG HELP",
        ],
    ),
    (
        "lines of HTTP",
        &["GET {t}", "PUBLISH {t} HTTP/1.1", "DELETE {t}"],
    ),
    ("error texts", &["foo \"\\xff\"", "CLIENT \"\\xff\""]),
];

/// The same in bytes.
pub(crate) const DIFFERENT_BYTES: &[(&str, &[&[u8]])] = &[
    ("inline commands", &[b"ECHO a\0b\r\n", b"ECHO 'a\0b'\r\n"]),
    (
        "protocol errors",
        &[
            b"*1\r\n$4\r\nPINGxx",
            b"*1\r\n$4\r\nPI\r\nPING\r\n",
            b"*1\r\n\x01",
            b"*1\r\n\xff",
            b"****************************************",
            b"*1\r\n$111111111111111111111111111111111111111111\r\n",
        ],
    ),
    ("limits", &[b"*1025\r\n", b"*1048577\r\n"]),
    ("error texts", &[LONG_OPTION]),
];

/// `HELLO 3` with an option of 150 bytes.
const LONG_OPTION: &[u8] = b"HELLO 3 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

/// Commands whose `COMMAND INFO` differs: `XREAD` never blocks here.
pub(crate) const DESCRIBED_OTHERWISE: &[&str] = &["xread"];
