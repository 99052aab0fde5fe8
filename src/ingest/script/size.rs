//! The memory that a script takes, for the node's account.

use super::parser::{Call, Expression, Loop, Range, Statement, Term, Value};

/// Bytes of statements, with all that they own.
pub(super) fn bytes_of(statements: &Vec<Statement>) -> usize {
    let owned = statements.iter().map(|statement| match statement {
        Statement::Call(call) => of_call(call),
        Statement::Local(values) => {
            let owned: usize = values.iter().map(of_value).sum();
            values.capacity() * size_of::<Value>() + owned
        }
        Statement::For(each) => of_loop(each),
        Statement::Return(value) => value.as_ref().map_or(0, of_value),
    });
    statements.capacity() * size_of::<Statement>() + owned.sum::<usize>()
}

fn of_loop(Loop { range, body }: &Loop) -> usize {
    let range = match range {
        Range::Numbers { first, last, step } => {
            of_expression(first) + of_expression(last) + step.as_ref().map_or(0, of_expression)
        }
        Range::Elements(_) => 0,
    };
    range + bytes_of(body)
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::Expression(expression) => of_expression(expression),
        Value::Call(call) => of_call(call),
    }
}

fn of_call(call: &Call) -> usize {
    let args: usize = call.args.iter().map(of_expression).sum();
    call.command.len() + call.args.capacity() * size_of::<Expression>() + args
}

fn of_expression(sums: &Expression) -> usize {
    let owned = sums.iter().map(|sum| {
        let owned: usize = sum.iter().map(|(_, term)| of_term(term)).sum();
        sum.capacity() * size_of::<(bool, Term)>() + owned
    });
    sums.capacity() * size_of::<super::parser::Sum>() + owned.sum::<usize>()
}

fn of_term(term: &Term) -> usize {
    match term {
        Term::Text(text) => text.len(),
        Term::Element(_, index) => of_expression(index),
        Term::Nil | Term::Truth(_) | Term::Integer(_) | Term::Name(_) | Term::Length(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::script::Script;

    fn bytes(text: &str) -> usize {
        let script = Script::parse(text.as_bytes(), |name| name == "publish");
        script.expect("understood").bytes()
    }

    #[test]
    fn what_a_script_takes_grows_with_all_that_it_owns() {
        assert!(bytes("") < 100);
        let call = |data: &str| format!("redis.call('publish', KEYS[1], {data})");
        let short = bytes(&call("'x'"));
        let text = "x".repeat(5_000);
        assert!(bytes(&call(&format!("'{text}'"))) >= short + 4_999);
        // Two bytes of text each become a term.
        let terms = format!("local n = 1{}", "+1".repeat(5_000));
        assert!(bytes(&terms) > 5_000 * 24);
        for around in [
            "for i = 1, 2 do BODY end",
            "for i, k in ipairs(KEYS) do BODY end",
        ] {
            assert!(bytes(&around.replace("BODY", &call("'x'"))) > short);
        }
        assert!(bytes(&format!("return {}", call("'x'"))) > 100);
        let index = call(&format!("ARGV[1{}]", "+1".repeat(1_000)));
        assert!(bytes(&index) > 1_000 * 24);
    }
}
