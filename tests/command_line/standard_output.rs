use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::node::{Node, PROGRAM, Text, full_pipe, serve};

const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";

/// Exit code and standard error of every printing command with this standard output.
fn printing(stdout: impl Fn() -> Stdio) -> Vec<(String, Option<i32>, String)> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("fantail.toml");
    fs::write(&file, "").expect("a file");
    let file = file.to_string_lossy();
    let secret = ["token", "--secret", SECRET];
    [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["serve", "--help"],
        &["help", "token"],
        &["settings"],
        &["check-config", &file],
        &secret,
    ]
    .map(|args| {
        let mut command = Command::new(PROGRAM);
        command.args(args).env_clear().stdin(Stdio::null());
        let child = command.stdout(stdout()).stderr(Stdio::piped()).spawn();
        let output = child.expect("it starts").wait_with_output();
        let output = output.expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (format!("{args:?}"), output.status.code(), errors)
    })
    .to_vec()
}

fn closed_pipe() -> Stdio {
    std::io::pipe().expect("a pipe").1.into()
}

fn full_disk() -> Stdio {
    let full = File::options().write(true).open("/dev/full");
    full.expect("a device that is full").into()
}

#[test]
fn a_reader_that_has_gone_had_what_it_wanted() {
    for (args, code, errors) in printing(closed_pipe) {
        assert_eq!((code, &*errors), (Some(0), ""), "{args}");
    }
}

#[test]
fn what_cannot_be_printed_is_told_and_exits_with_1() {
    for (args, code, errors) in printing(full_disk) {
        assert_eq!(code, Some(1), "{args}");
        assert!(
            errors.starts_with("cannot write to standard output: "),
            "{args}: {errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn a_node_serves_whatever_its_standard_output_is() {
    let (_reader, full) = full_pipe();
    for stdout in [closed_pipe(), full_disk(), full.into(), Stdio::null()] {
        let mut child = serve(&[])
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Text::collect(child.stderr.take().expect("a pipe"));
        let mut node = Node::logging(child, &log);
        node.works();
        assert_eq!(node.stop().code(), Some(0));
    }
}
