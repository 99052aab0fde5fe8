//! Runs a script to find its calls.

use std::borrow::Cow;

use super::Script;
use super::parser::{self, Call, Expression, Loop, Range, Statement, Sum, Table, Term};
use crate::ingest::resp::Arg;

/// The answer of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Outcome {
    /// `nil`, or no `return` at all.
    Nil,
    Integer(i64),
    Text(Box<[u8]>),
    /// The answer to its n-th call, from 0.
    Reply(usize),
}

/// Why a script stopped; then none of its calls is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Stop {
    /// An argument of a call is `nil`: a missing key or argument.
    NilArgument { line: u32 },
    /// The values have the wrong type: text instead of a number, or a reply instead of text.
    Unsuited,
    /// Its loops have more rounds than [`Bounds::steps_max`].
    TooLong,
    /// It reads values more often than [`Bounds::values_max`].
    TooManyValues,
    /// Its texts are larger than [`Bounds::bytes_max`].
    TooLarge,
}

/// Bounds on a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) struct Bounds {
    /// Rounds of all loops.
    pub(in crate::ingest) steps_max: usize,
    /// Values that it reads. Otherwise the work of a round is bounded only by the length of the
    /// script.
    pub(in crate::ingest) values_max: usize,
    /// Bytes of all texts that it makes.
    pub(in crate::ingest) bytes_max: usize,
}

/// Receives a call: its line, the command in lower case, and the arguments, including the command's
/// name.
type Callback<'c, 'b, E> = dyn FnMut(u32, &str, Vec<Arg<'b>>) -> Result<(), E> + 'c;

impl Script {
    /// Passes all calls of the script to `call`, in order.
    ///
    /// # Errors
    /// The error of `call`, or a [`Stop`].
    pub(in crate::ingest) fn run<'b, E: From<Stop>>(
        &self,
        keys: &[Arg<'b>],
        args: &[Arg<'b>],
        bounds: Bounds,
        call: &mut Callback<'_, 'b, E>,
    ) -> Result<Outcome, E> {
        let mut run = Run {
            keys,
            args,
            values: Vec::new(),
            calls: 0,
            left: bounds,
            call,
        };
        let outcome = run.block(&self.statements)?;
        Ok(outcome.unwrap_or(Outcome::Nil))
    }
}

/// A value within a script.
#[derive(Clone, Debug)]
enum Value<'b> {
    Nil,
    Truth(bool),
    Integer(i64),
    Text(Arg<'b>),
    Reply(usize),
}

struct Run<'r, 'c, 'b, E> {
    keys: &'r [Arg<'b>],
    args: &'r [Arg<'b>],
    /// The values of the names, by index.
    values: Vec<Value<'b>>,
    /// Calls so far.
    calls: usize,
    /// The rest of the bounds.
    left: Bounds,
    call: &'r mut Callback<'c, 'b, E>,
}

impl<'b, E: From<Stop>> Run<'_, '_, 'b, E> {
    /// Runs statements; returns an outcome if one of them is a `return`.
    fn block(&mut self, statements: &[Statement]) -> Result<Option<Outcome>, E> {
        for statement in statements {
            match statement {
                Statement::Call(call) => {
                    self.make(call)?;
                }
                Statement::Local(values) => {
                    let values: Result<Vec<_>, E> =
                        values.iter().map(|value| self.value(value)).collect();
                    self.values.extend(values?);
                }
                Statement::For(each) => {
                    let outcome = self.each(each)?;
                    if outcome.is_some() {
                        return Ok(outcome);
                    }
                }
                Statement::Return(None) => return Ok(Some(Outcome::Nil)),
                Statement::Return(Some(value)) => {
                    return Ok(Some(match self.value(value)? {
                        // As in Redis, false counts as nil.
                        Value::Nil | Value::Truth(false) => Outcome::Nil,
                        Value::Truth(true) => Outcome::Integer(1),
                        Value::Integer(number) => Outcome::Integer(number),
                        Value::Text(text) => Outcome::Text(text.into_owned().into()),
                        Value::Reply(call) => Outcome::Reply(call),
                    }));
                }
            }
        }
        Ok(None)
    }

    fn each(&mut self, each: &Loop) -> Result<Option<Outcome>, E> {
        match &each.range {
            Range::Elements(table) => {
                let elements = self.table(*table).to_vec();
                for (number, element) in (1..).zip(elements) {
                    let variables = [Value::Integer(number), Value::Text(element)];
                    let outcome = self.round(&each.body, variables)?;
                    if outcome.is_some() {
                        return Ok(outcome);
                    }
                }
            }
            Range::Numbers { first, last, step } => {
                let mut number = self.number(first)?;
                let last = self.number(last)?;
                let step = step.as_ref().map_or(Ok(1), |step| self.number(step))?;
                if step == 0 {
                    return Err(Stop::Unsuited.into());
                }
                while if step > 0 {
                    number <= last
                } else {
                    number >= last
                } {
                    let outcome = self.round(&each.body, [Value::Integer(number)])?;
                    if outcome.is_some() {
                        return Ok(outcome);
                    }
                    match number.checked_add(step) {
                        Some(next) => number = next,
                        None => break,
                    }
                }
            }
        }
        Ok(None)
    }

    /// Runs the body of a loop once.
    fn round<const N: usize>(
        &mut self,
        body: &[Statement],
        variables: [Value<'b>; N],
    ) -> Result<Option<Outcome>, E> {
        self.left.steps_max = self.left.steps_max.checked_sub(1).ok_or(Stop::TooLong)?;
        let outside = self.values.len();
        self.values.extend(variables);
        let outcome = self.block(body)?;
        self.values.truncate(outside);
        Ok(outcome)
    }

    fn table(&self, table: Table) -> &[Arg<'b>] {
        match table {
            Table::Keys => self.keys,
            Table::Args => self.args,
        }
    }

    /// Makes a call; returns its number.
    fn make(&mut self, call: &Call) -> Result<usize, E> {
        let line = call.line;
        let mut args = Vec::with_capacity(call.args.len());
        for expression in &call.args {
            args.push(match self.expression(expression)? {
                Value::Text(text) => text,
                Value::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
                Value::Nil | Value::Truth(_) => return Err(Stop::NilArgument { line }.into()),
                Value::Reply(_) => return Err(Stop::Unsuited.into()),
            });
        }
        (self.call)(line, &call.command, args)?;
        self.calls += 1;
        Ok(self.calls - 1)
    }

    fn value(&mut self, value: &parser::Value) -> Result<Value<'b>, E> {
        match value {
            parser::Value::Call(call) => self.make(call).map(Value::Reply),
            parser::Value::Expression(expression) => self.expression(expression),
        }
    }

    fn expression(&mut self, sums: &Expression) -> Result<Value<'b>, E> {
        if let [sum] = &sums[..] {
            return self.sum(sum);
        }
        let mut text = Vec::new();
        for sum in sums {
            match self.sum(sum)? {
                Value::Text(part) => {
                    self.spend(part.len())?;
                    text.extend_from_slice(&part);
                }
                Value::Integer(number) => text.extend_from_slice(number.to_string().as_bytes()),
                _ => return Err(Stop::Unsuited.into()),
            }
        }
        Ok(Value::Text(Cow::Owned(text)))
    }

    /// Counts a text that is made or copied.
    fn spend(&mut self, bytes: usize) -> Result<(), E> {
        let left = self.left.bytes_max.checked_sub(bytes);
        self.left.bytes_max = left.ok_or(Stop::TooLarge)?;
        Ok(())
    }

    /// A copy of a value. An owned text is counted: copies from name to name could double it
    /// without end.
    fn copy(&mut self, value: Value<'b>) -> Result<Value<'b>, E> {
        if let Value::Text(Cow::Owned(text)) = &value {
            self.spend(text.len())?;
        }
        Ok(value)
    }

    fn sum(&mut self, sum: &Sum) -> Result<Value<'b>, E> {
        if let [(false, term)] = &sum[..] {
            return self.term(term);
        }
        let mut total = 0_i64;
        for (negative, term) in sum {
            let Value::Integer(number) = self.term(term)? else {
                return Err(Stop::Unsuited.into());
            };
            let next = if *negative {
                total.checked_sub(number)
            } else {
                total.checked_add(number)
            };
            total = next.ok_or(Stop::Unsuited)?;
        }
        Ok(Value::Integer(total))
    }

    fn number(&mut self, expression: &Expression) -> Result<i64, E> {
        match self.expression(expression)? {
            Value::Integer(number) => Ok(number),
            _ => Err(Stop::Unsuited.into()),
        }
    }

    fn term(&mut self, term: &Term) -> Result<Value<'b>, E> {
        let left = self.left.values_max.checked_sub(1);
        self.left.values_max = left.ok_or(Stop::TooManyValues)?;
        let value = match term {
            Term::Nil => Value::Nil,
            Term::Truth(truth) => Value::Truth(*truth),
            Term::Text(text) => Value::Text(Cow::Owned(text.to_vec())),
            Term::Integer(number) => Value::Integer(*number),
            Term::Name(place) => self.values.get(*place).cloned().unwrap_or(Value::Nil),
            Term::Length(table) => Value::Integer(self.table(*table).len() as i64),
            Term::Element(table, index) => {
                let index = self.number(index)?;
                // The first element has the index 1.
                let place = index
                    .checked_sub(1)
                    .and_then(|index| usize::try_from(index).ok());
                let element = place.and_then(|place| self.table(*table).get(place).cloned());
                element.map_or(Value::Nil, Value::Text)
            }
        };
        self.copy(value)
    }
}
