//! Parses a script's tokens into statements, and refuses everything else.

use super::Refusal;
use super::lexer::{Placed, Sign, Token};

/// A table of arguments from `EVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Table {
    Keys,
    Args,
}

/// A statement of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// `redis.call('publish', …)`
    Call(Call),
    /// `local a, b = …`: each value gets the next index among the names.
    Local(Vec<Value>),
    For(Loop),
    /// `return`, with or without a value. No statement follows it.
    Return(Option<Value>),
}

/// A command with its arguments, its name included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) line: u32,
    /// In lower case.
    pub(super) command: Box<str>,
    pub(super) args: Vec<Expression>,
}

/// A loop; its variables get the next indexes among the names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loop {
    pub(super) range: Range,
    pub(super) body: Vec<Statement>,
}

/// The range of a loop.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// `for i = first, last, step`: one variable.
    Numbers {
        first: Expression,
        last: Expression,
        step: Option<Expression>,
    },
    /// `for i, value in ipairs(table)`: two variables.
    Elements(Table),
}

/// The value of a name, or of a `return`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Expression(Expression),
    Call(Call),
}

/// Texts to concatenate; mostly a single one.
pub(super) type Expression = Vec<Sum>;

/// Terms to add or, if marked, to subtract.
pub(super) type Sum = Vec<(bool, Term)>;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Term {
    Nil,
    Truth(bool),
    Text(Box<[u8]>),
    Integer(i64),
    /// A name, by its index.
    Name(usize),
    Length(Table),
    Element(Table, Expression),
}

/// Words that cannot be names.
const RESERVED: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while", "KEYS", "ARGV",
    "redis", "ipairs",
];

/// Deepest nesting of indexes within indexes, more than scripts use.
const NESTING_MAX: u32 = 4;

/// Parses the statements; `is_known` decides which commands may be called, by lower-case name.
pub(super) fn parse(
    tokens: &[Placed],
    is_known: fn(&str) -> bool,
) -> Result<Vec<Statement>, Refusal> {
    let mut parser = Parser {
        tokens,
        is_known,
        at: 0,
        names: Vec::new(),
        in_loop: false,
        nesting: 0,
    };
    let statements = parser.block()?;
    match parser.peek() {
        None => Ok(statements),
        Some(_) => parser.refuse("something stands where a call, a loop or `local` is expected"),
    }
}

struct Parser<'t> {
    tokens: &'t [Placed],
    is_known: fn(&str) -> bool,
    at: usize,
    /// Names in scope, by index.
    names: Vec<&'t str>,
    in_loop: bool,
    nesting: u32,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// The line of the next token, or else of the last.
    fn line(&self) -> u32 {
        let placed = self.tokens.get(self.at).or(self.tokens.last());
        placed.map_or(1, |(_, line)| *line)
    }

    fn refuse<T>(&self, what: &'static str) -> Result<T, Refusal> {
        let line = self.line();
        Err(Refusal::Unknown { line, what })
    }

    /// Takes a sign if it is next.
    fn sign(&mut self, sign: Sign) -> bool {
        let is_next = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a word if it is next.
    fn word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Name(name)) if **name == *word);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: Sign, what: &'static str) -> Result<(), Refusal> {
        if self.sign(sign) {
            Ok(())
        } else {
            self.refuse(what)
        }
    }

    /// Takes a new name.
    fn name(&mut self) -> Result<&'t str, Refusal> {
        match self.peek() {
            Some(Token::Name(name)) if !RESERVED.contains(&&**name) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.refuse("a name is expected"),
        }
    }

    /// Statements up to the end, to `end`, or up to and including a `return`.
    fn block(&mut self) -> Result<Vec<Statement>, Refusal> {
        let mut statements = Vec::new();
        loop {
            let statement = if self.word("return") {
                self.returned()?
            } else if self.word("local") {
                self.local()?
            } else if !self.in_loop && self.word("for") {
                self.for_loop()?
            } else if self.word("redis") {
                Statement::Call(self.call()?)
            } else {
                return Ok(statements);
            };
            self.sign(Sign::Semicolon);
            let is_last = matches!(statement, Statement::Return(_));
            statements.push(statement);
            if is_last {
                return Ok(statements);
            }
        }
    }

    fn returned(&mut self) -> Result<Statement, Refusal> {
        let is_bare = match self.peek() {
            None | Some(Token::Sign(Sign::Semicolon)) => true,
            Some(Token::Name(name)) => **name == *"end",
            Some(_) => false,
        };
        let value = if is_bare { None } else { Some(self.value()?) };
        Ok(Statement::Return(value))
    }

    fn local(&mut self) -> Result<Statement, Refusal> {
        let mut names = vec![self.name()?];
        while self.sign(Sign::Comma) {
            names.push(self.name()?);
        }
        self.expect(Sign::Assign, "`local` needs a value")?;
        let mut values = vec![self.value()?];
        while self.sign(Sign::Comma) {
            values.push(self.value()?);
        }
        if names.len() != values.len() {
            return self.refuse("`local` needs as many values as names");
        }
        // Only now, because a value may use an older name of the same spelling.
        self.names.extend(names);
        Ok(Statement::Local(values))
    }

    fn for_loop(&mut self) -> Result<Statement, Refusal> {
        let outside = self.names.len();
        let first = self.name()?;
        let range = if self.sign(Sign::Comma) {
            let second = self.name()?;
            let table = self.elements()?;
            self.names.extend([first, second]);
            Range::Elements(table)
        } else {
            let range = self.numbers()?;
            self.names.push(first);
            range
        };
        if !self.word("do") {
            return self.refuse("`do` is expected");
        }
        self.in_loop = true;
        let body = self.block()?;
        self.in_loop = false;
        self.names.truncate(outside);
        if self.word("end") {
            Ok(Statement::For(Loop { range, body }))
        } else {
            self.refuse("only calls and `local` are understood in a loop, up to `end`")
        }
    }

    /// `in ipairs(KEYS)`
    fn elements(&mut self) -> Result<Table, Refusal> {
        if self.word("in") && self.word("ipairs") && self.sign(Sign::Open) {
            let table = self.table();
            if let Some(table) = table
                && self.sign(Sign::Close)
            {
                return Ok(table);
            }
        }
        self.refuse("`in ipairs(KEYS)` or `in ipairs(ARGV)` is expected")
    }

    /// `= first, last[, step]`
    fn numbers(&mut self) -> Result<Range, Refusal> {
        self.expect(Sign::Assign, "`=` or `,` is expected")?;
        let first = self.expression()?;
        self.expect(Sign::Comma, "a loop needs its last number")?;
        let last = self.expression()?;
        let step = if self.sign(Sign::Comma) {
            Some(self.expression()?)
        } else {
            None
        };
        Ok(Range::Numbers { first, last, step })
    }

    /// The call after `redis`.
    fn call(&mut self) -> Result<Call, Refusal> {
        let line = self.line();
        const CALL: &str = "only `redis.call('publish', …)` and the like are understood";
        self.expect(Sign::Dot, CALL)?;
        if !self.word("call") && !self.word("pcall") {
            return self.refuse(CALL);
        }
        self.expect(Sign::Open, CALL)?;
        let Some(Token::Text(command)) = self.peek() else {
            return self.refuse(CALL);
        };
        let command = String::from_utf8_lossy(command).to_ascii_lowercase();
        if !(self.is_known)(&command) {
            return self.refuse("only commands that publish are understood");
        }
        // The command's name is an argument, too: it could be part of a longer expression.
        let mut args = vec![self.expression()?];
        while self.sign(Sign::Comma) {
            args.push(self.expression()?);
        }
        if !matches!(&args[0][..], [sum] if sum.len() == 1) {
            return self.refuse(CALL);
        }
        self.expect(Sign::Close, "`,` or `)` is expected")?;
        let command = command.into();
        Ok(Call {
            line,
            command,
            args,
        })
    }

    /// An expression, or a call. Calls cannot be nested within calls, so the nesting here stays
    /// shallow.
    fn value(&mut self) -> Result<Value, Refusal> {
        if self.word("redis") {
            self.call().map(Value::Call)
        } else {
            self.expression().map(Value::Expression)
        }
    }

    fn expression(&mut self) -> Result<Expression, Refusal> {
        let mut sums = vec![self.sum()?];
        while self.sign(Sign::Concat) {
            sums.push(self.sum()?);
        }
        Ok(sums)
    }

    fn sum(&mut self) -> Result<Sum, Refusal> {
        let negative = self.sign(Sign::Minus);
        let mut sum = vec![(negative, self.term()?)];
        loop {
            let negative = self.sign(Sign::Minus);
            if !negative && !self.sign(Sign::Plus) {
                return Ok(sum);
            }
            sum.push((negative, self.term()?));
        }
    }

    fn term(&mut self) -> Result<Term, Refusal> {
        if let Some(table) = self.table() {
            return self.element(table);
        }
        if self.sign(Sign::Length) {
            return match self.table() {
                Some(table) => Ok(Term::Length(table)),
                None => self.refuse("`#` needs KEYS or ARGV"),
            };
        }
        let term = match self.peek() {
            Some(Token::Text(text)) => Term::Text(text.clone()),
            Some(Token::Integer(number)) => Term::Integer(*number),
            Some(Token::Name(name)) => match &**name {
                "nil" => Term::Nil,
                "true" => Term::Truth(true),
                "false" => Term::Truth(false),
                name => match self.names.iter().rposition(|other| *other == name) {
                    Some(place) => Term::Name(place),
                    None => return self.refuse("a name that is not known here"),
                },
            },
            _ => return self.refuse("a value is expected"),
        };
        self.at += 1;
        Ok(term)
    }

    fn table(&mut self) -> Option<Table> {
        if self.word("KEYS") {
            Some(Table::Keys)
        } else if self.word("ARGV") {
            Some(Table::Args)
        } else {
            None
        }
    }

    /// `[index]`
    fn element(&mut self, table: Table) -> Result<Term, Refusal> {
        self.expect(Sign::OpenIndex, "`[` is expected")?;
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return self.refuse("too many indexes within each other");
        }
        let index = self.expression()?;
        self.nesting -= 1;
        self.expect(Sign::CloseIndex, "`]` is expected")?;
        Ok(Term::Element(table, index))
    }
}
