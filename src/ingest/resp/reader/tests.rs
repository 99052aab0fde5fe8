//! Commands in pieces, against another encoder, and every refusal.

use super::*;
use crate::ingest::resp::UNAUTHENTICATED_ARRAY_MAX;
use proptest::prelude::*;
use redis_protocol::resp2::{self, types::Resp2Frame as _};

const LIMITS: Limits = Limits {
    array_max: 1_000,
    bulk_bytes_max: 100_000,
    command_bytes_max: 200_000,
    authenticated: true,
};

/// All commands of `bytes`, which arrive in pieces of `piece` bytes.
fn read_in_pieces(
    limits: &Limits,
    bytes: &[u8],
    piece: usize,
) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
    let mut reader = Reader::default();
    let mut commands = Vec::new();
    let mut from = 0;
    let mut to = 0;
    while to < bytes.len() {
        to = (to + piece).min(bytes.len());
        let mut args = Vec::new();
        while let Some(length) = reader.next(limits, &bytes[from..to], &mut args)? {
            assert!(length > 0 && from + length <= to);
            from += length;
            commands.push(args.iter().map(|arg| arg.to_vec()).collect());
        }
    }
    Ok(commands)
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
    read_in_pieces(&LIMITS, bytes, usize::MAX / 2)
}

#[test]
fn arrays_inline_commands_and_blank_lines_mix() {
    let bytes =
        b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\nPING 'a b'\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nPING\n";
    let expected: Vec<Vec<&[u8]>> = vec![
        vec![b"ECHO", b"\r\n"],
        vec![b"PING", b"a b"],
        vec![],
        vec![],
        vec![],
        vec![b""],
        vec![b"PING"],
    ];
    for piece in 1..=bytes.len() {
        let commands = read_in_pieces(&LIMITS, bytes, piece).expect("valid");
        assert_eq!(commands, expected, "in pieces of {piece}");
    }
}

#[test]
fn bad_bytes_are_refused_in_redis_words() {
    let refused = [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1001\r\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (
            b"*11111111111111111111111111111111",
            "too big mbulk count string",
        ),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n\x01", "expected '$', got '\\x01'"),
        (b"*1\r\n;", "expected '$', got ';'"),
        (b"*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$100001\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (
            b"*1\r\n$11111111111111111111111111111111",
            "too big bulk count string",
        ),
        (b"*1\r\n$4\r\nPINGxx", "expected CRLF after a bulk string"),
        (b"PING 'a\r\n", "unbalanced quotes in request"),
    ];
    for (bytes, text) in refused {
        let error = read(bytes).expect_err("must be refused");
        assert_eq!(error.to_string(), text, "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let command = |bulks: &[usize]| {
        let mut bytes = format!("*{}\r\n", bulks.len()).into_bytes();
        for &length in bulks {
            bytes.extend_from_slice(format!("${length}\r\n").as_bytes());
            bytes.resize(bytes.len() + length, b'x');
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    };
    assert!(read(&command(&[100_000])).is_ok());
    assert_eq!(
        read(&command(&[100_000, 99_990])),
        Err(ProtocolError::CommandTooBig(200_000))
    );
    assert!(read(&command(&[1; 1_000])).is_ok());
    assert!(read(&vec![b'x'; INLINE_BYTES_MAX]).is_ok());
    let endless = vec![b'x'; INLINE_BYTES_MAX + 1];
    assert_eq!(read(&endless), Err(ProtocolError::InlineTooBig));

    let stranger = Limits::unauthenticated(100);
    let read = |bytes: &[u8]| read_in_pieces(&stranger, bytes, 7);
    assert!(read(&command(&[1; UNAUTHENTICATED_ARRAY_MAX])).is_ok());
    assert_eq!(read(b"*11\r\n"), Err(ProtocolError::UnauthenticatedArray));
    assert_eq!(
        read(b"*1\r\n$101\r\n"),
        Err(ProtocolError::UnauthenticatedBulk)
    );
    assert_eq!(
        read(&command(&[40, 50])),
        Err(ProtocolError::UnauthenticatedBulk)
    );
    assert_eq!(read(&[b'x'; 101]), Err(ProtocolError::InlineTooBig));
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let limits = Limits {
        array_max: usize::MAX,
        bulk_bytes_max: usize::MAX / 4,
        command_bytes_max: usize::MAX / 2,
        authenticated: true,
    };
    let mut reader = Reader::default();
    let mut args = Vec::new();
    let claim = b"*1000000000\r\n$2000000000000\r\n";
    assert_eq!(reader.next(&limits, claim, &mut args), Ok(None));
    assert!(!reader.elements.spilled());
    assert_eq!(args.capacity(), 0);
}

#[test]
fn a_long_command_leaves_the_reader_small() {
    let mut bytes = b"*500\r\n".to_vec();
    for _ in 0..500 {
        bytes.extend_from_slice(b"$1\r\nx\r\n");
    }
    let mut reader = Reader::default();
    let mut args = Vec::new();
    let length = reader.next(&LIMITS, &bytes, &mut args);
    assert_eq!(length, Ok(Some(bytes.len())));
    assert_eq!(args.len(), 500);
    assert!(!reader.elements.spilled());
}

proptest! {
    /// Commands of another encoder are read correctly, however they are cut into pieces.
    #[test]
    fn any_command_survives_any_cut(
        commands in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12),
            1..6,
        ),
        piece in 1_usize..200,
    ) {
        let mut bytes = Vec::new();
        for command in &commands {
            let bulks = command
                .iter()
                .map(|arg| resp2::types::OwnedFrame::BulkString(arg.clone()))
                .collect();
            let frame = resp2::types::OwnedFrame::Array(bulks);
            let start = bytes.len();
            bytes.resize(start + frame.encode_len(false), 0);
            resp2::encode::encode(&mut bytes[start..], &frame, false).expect("encodes");
        }
        prop_assert_eq!(read_in_pieces(&LIMITS, &bytes, piece), Ok(commands));
    }

    /// Whole or in pieces, any bytes give the same commands or the same refusal, and never a
    /// panic.
    #[test]
    fn any_bytes_read_the_same_in_pieces(
        bytes in prop::collection::vec(
            prop_oneof![
                Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'2'), Just(b'"'), Just(b' '), any::<u8>()
            ],
            0..80,
        ),
        piece in 1_usize..20,
    ) {
        prop_assert_eq!(read_in_pieces(&LIMITS, &bytes, piece), read(&bytes));
    }
}
