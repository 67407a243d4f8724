//! Text to tree by recursive descent with jq's grammar and precedence; length and nesting are bounded here.

use std::sync::Arc;

use model::{Data, Value};

use super::ast::{Fold, Format, Function, Kind, Node, Op, Part, Pattern, Program};
use super::error::ParseError;
use super::lex::{Lexer, Token};
use super::native::{self, Native, PRELUDE};

/// The longest text of an expression, in bytes.
pub(super) const TEXT_MAX: usize = 64 * 1024;
/// How deep an expression may nest; also how tall its tree may be.
pub(super) const NESTING_MAX: u16 = 100;
/// Most parameters of one function.
const PARAMS_MAX: usize = 16;

pub(super) fn parse(text: &str) -> Result<Program, ParseError> {
    if text.len() > TEXT_MAX {
        return Err(ParseError {
            message: format!("the expression has {} bytes; at most {TEXT_MAX} are read", text.len()),
            offset: TEXT_MAX,
            hint: Some("split it into several steps".into()),
        });
    }
    let mut shared = Shared::default();
    let mut parser = Parser {
        lexer: Lexer::new(text),
        scope: Vec::new(),
        nesting: 0,
        prelude: false,
        shared: &mut shared,
    };
    let root = parser.pipe(true)?;
    parser.expect_end()?;
    let functions = shared.functions.into_iter().map(|(_, f)| f).collect::<Option<Vec<_>>>();
    let functions = functions.ok_or_else(|| problem(0, "a built-in function is incomplete", None))?;
    Ok(Program { text: text.into(), root, functions, globals: shared.globals })
}

/// What the expression and the prelude functions it uses have in common.
#[derive(Default)]
struct Shared {
    functions: Vec<(usize, Option<Function>)>,
    globals: Vec<Arc<str>>,
}

/// A name in the chain of things in scope.
#[derive(Clone)]
enum Entry {
    Variable(String),
    Closure(String),
    Function(String, usize),
    Label(String),
}

struct Parser<'a, 's> {
    lexer: Lexer<'a>,
    scope: Vec<Entry>,
    nesting: u16,
    prelude: bool,
    shared: &'s mut Shared,
}

type Parsed<T> = Result<T, ParseError>;

fn problem(offset: usize, message: impl Into<String>, hint: Option<String>) -> ParseError {
    ParseError { message: message.into(), offset, hint }
}

impl<'a> Parser<'a, '_> {
    fn pipe(&mut self, comma: bool) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        let mut stages = Vec::new();
        loop {
            if self.lexer.peek()? == Token::Word("def") {
                stages.push(self.definition(comma)?);
                break;
            }
            stages.push(self.comma(comma)?);
            if !self.lexer.take_symbol("|")? {
                break;
            }
        }
        self.nesting -= 1;
        match stages.len() {
            1 => Ok(stages.swap_remove(0)),
            _ => self.node(Kind::Pipe(stages)),
        }
    }

    fn comma(&mut self, comma: bool) -> Parsed<Node> {
        let first = self.binary(1)?;
        if !comma || self.lexer.peek()? != Token::Symbol(",") {
            return Ok(first);
        }
        let mut nodes = vec![first];
        while self.lexer.take_symbol(",")? {
            nodes.push(self.binary(1)?);
        }
        self.node(Kind::Comma(nodes))
    }

    fn binary(&mut self, least: u8) -> Parsed<Node> {
        let mut left = self.operand()?;
        while let Some((symbol, level, right_least, none_after)) = operator(self.lexer.peek()?) {
            if level < least {
                break;
            }
            let at = self.lexer.at();
            self.lexer.next()?;
            self.nesting += 1;
            if self.nesting > NESTING_MAX {
                return Err(self.too_deep());
            }
            let right = self.binary(right_least)?;
            self.nesting -= 1;
            left = self.join(symbol, left, right)?;
            if none_after && operator(self.lexer.peek()?).is_some_and(|(_, next, _, _)| next == level) {
                return Err(problem(
                    at,
                    format!("`{symbol}` cannot be chained"),
                    Some("add parentheses".into()),
                ));
            }
        }
        Ok(left)
    }

    fn join(&mut self, symbol: &str, left: Node, right: Node) -> Parsed<Node> {
        let (a, b) = (Box::new(left), Box::new(right));
        self.node(match symbol {
            "//" => Kind::Alternative(a, b),
            "=" => Kind::Assign(a, b),
            "|=" => Kind::Update(a, b),
            "//=" => Kind::UpdateWith(None, a, b),
            "+=" => Kind::UpdateWith(Some(Op::Add), a, b),
            "-=" => Kind::UpdateWith(Some(Op::Subtract), a, b),
            "*=" => Kind::UpdateWith(Some(Op::Multiply), a, b),
            "/=" => Kind::UpdateWith(Some(Op::Divide), a, b),
            "%=" => Kind::UpdateWith(Some(Op::Modulo), a, b),
            "or" => Kind::Or(a, b),
            "and" => Kind::And(a, b),
            "==" => Kind::Binary(Op::Equal, a, b),
            "!=" => Kind::Binary(Op::NotEqual, a, b),
            "<" => Kind::Binary(Op::Less, a, b),
            "<=" => Kind::Binary(Op::LessEqual, a, b),
            ">" => Kind::Binary(Op::Greater, a, b),
            ">=" => Kind::Binary(Op::GreaterEqual, a, b),
            "+" => Kind::Binary(Op::Add, a, b),
            "-" => Kind::Binary(Op::Subtract, a, b),
            "*" => Kind::Binary(Op::Multiply, a, b),
            "/" => Kind::Binary(Op::Divide, a, b),
            _ => Kind::Binary(Op::Modulo, a, b),
        })
    }

    /// What stands between operators: a postfix term, perhaps with `as`, or a form that reaches to the right.
    fn operand(&mut self) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        let node = match self.lexer.peek()? {
            Token::Symbol("-") => {
                self.lexer.next()?;
                let operand = self.binary(7)?;
                self.node(Kind::Negate(Box::new(operand)))?
            }
            Token::Word("def") => self.definition(true)?,
            Token::Word("label") => {
                self.lexer.next()?;
                let name = self.variable_name()?;
                self.expect("|")?;
                self.scope.push(Entry::Label(name));
                let body = self.pipe(true)?;
                self.scope.pop();
                self.node(Kind::Label(Box::new(body)))?
            }
            _ => {
                let term = self.postfix()?;
                if self.lexer.take_word("as")? { self.bind(term)? } else { term }
            }
        };
        self.nesting -= 1;
        Ok(node)
    }

    fn bind(&mut self, source: Node) -> Parsed<Node> {
        let mut names = Vec::new();
        let mut patterns = vec![self.pattern(&mut names)?];
        while self.lexer.take_symbol("?")? {
            self.expect("//")?;
            patterns.push(self.pattern(&mut names)?);
        }
        self.expect("|")?;
        let slots = names.len();
        self.scope.extend(names.into_iter().map(Entry::Variable));
        let body = self.pipe(true)?;
        self.scope.truncate(self.scope.len() - slots);
        self.node(Kind::Bind(Box::new(source), patterns, slots, Box::new(body)))
    }

    fn pattern(&mut self, names: &mut Vec<String>) -> Parsed<Pattern> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        let at = self.lexer.at();
        let pattern = match self.lexer.peek()? {
            Token::Variable(_) => Pattern::Variable(self.slot(names)?),
            Token::Symbol("[") => {
                self.lexer.next()?;
                let mut items = vec![self.pattern(names)?];
                while self.lexer.take_symbol(",")? {
                    items.push(self.pattern(names)?);
                }
                self.expect("]")?;
                Pattern::Array(items)
            }
            Token::Symbol("{") => {
                self.lexer.next()?;
                let mut members = vec![self.pattern_member(names)?];
                while self.lexer.take_symbol(",")? {
                    members.push(self.pattern_member(names)?);
                }
                self.expect("}")?;
                Pattern::Object(members)
            }
            _ => return Err(problem(at, "expected a pattern: `$name`, `[…]` or `{…}`", None)),
        };
        self.nesting -= 1;
        Ok(pattern)
    }

    fn pattern_member(&mut self, names: &mut Vec<String>) -> Parsed<(Node, Option<usize>, Option<Pattern>)> {
        let at = self.lexer.at();
        let (key, slot) = match self.lexer.peek()? {
            Token::Variable(name) => (Node::literal(Value::string(name)), Some(self.slot(names)?)),
            Token::Word(name) => {
                self.lexer.next()?;
                (Node::literal(Value::string(name)), None)
            }
            Token::Quote => (self.string(None)?, None),
            Token::Symbol("(") => (self.parenthesised()?, None),
            _ => return Err(problem(at, "expected a key in the pattern", None)),
        };
        if !key.single {
            return Err(problem(at, "a key in a pattern must give exactly one value", None));
        }
        let inner = if self.lexer.take_symbol(":")? { Some(self.pattern(names)?) } else { None };
        if slot.is_none() && inner.is_none() {
            return Err(problem(self.lexer.at(), "expected `:` and a pattern", None));
        }
        Ok((key, slot, inner))
    }

    fn slot(&mut self, names: &mut Vec<String>) -> Parsed<usize> {
        let name = self.variable_name()?;
        Ok(names.iter().position(|n| *n == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        }))
    }

    fn variable_name(&mut self) -> Parsed<String> {
        let at = self.lexer.at();
        match self.lexer.next()? {
            Token::Variable(name) => Ok(name.to_owned()),
            _ => Err(problem(at, "expected a `$name`", None)),
        }
    }

    /// `def name(params): body; rest`
    fn definition(&mut self, comma: bool) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        self.lexer.next()?;
        let at = self.lexer.at();
        let Token::Word(name) = self.lexer.next()? else {
            return Err(problem(at, "expected the name of the function after `def`", None));
        };
        let mut params = Vec::new();
        if self.lexer.take_symbol("(")? {
            loop {
                let at = self.lexer.at();
                params.push(match self.lexer.next()? {
                    Token::Word(word) => (word.to_owned(), false),
                    Token::Variable(word) => (word.to_owned(), true),
                    _ => return Err(problem(at, "expected the name of a parameter", None)),
                });
                if !self.lexer.take_symbol(";")? {
                    break;
                }
            }
            self.expect(")")?;
        }
        if params.len() > PARAMS_MAX {
            return Err(problem(at, format!("`{name}` has more than {PARAMS_MAX} parameters"), None));
        }
        self.expect(":")?;
        self.scope.push(Entry::Function(name.to_owned(), params.len()));
        let function = self.function_body(&params)?;
        self.expect(";")?;
        let rest = self.pipe(comma)?;
        self.scope.pop();
        self.nesting -= 1;
        self.node(Kind::Define(Box::new(function), Box::new(rest)))
    }

    fn function_body(&mut self, params: &[(String, bool)]) -> Parsed<Function> {
        let before = self.scope.len();
        self.scope.extend(params.iter().map(|(name, _)| Entry::Closure(name.clone())));
        let values: Vec<usize> = (0..params.len()).filter(|i| params[*i].1).collect();
        self.scope.extend(values.iter().map(|i| Entry::Variable(params[*i].0.clone())));
        let body = self.pipe(true)?;
        self.scope.truncate(before);
        Ok(Function { params: params.len(), values, body })
    }

    fn postfix(&mut self) -> Parsed<Node> {
        let mut node = self.term()?;
        loop {
            match self.lexer.peek()? {
                Token::Field(name) => {
                    self.lexer.next()?;
                    node = self.index(node, Node::literal(Value::string(name)))?;
                }
                Token::Symbol(".") => {
                    self.lexer.next()?;
                    let at = self.lexer.at();
                    node = match self.lexer.peek()? {
                        Token::Quote => {
                            let key = self.string(None)?;
                            self.index(node, key)?
                        }
                        Token::Symbol("[") => self.bracket(node)?,
                        _ => return Err(problem(at, "expected a name, a string or `[` after `.`", None)),
                    };
                }
                Token::Symbol("[") => node = self.bracket(node)?,
                Token::Symbol("?") => {
                    self.lexer.next()?;
                    node = self.node(Kind::Try(Box::new(node), None))?;
                }
                _ => return Ok(node),
            }
        }
    }

    fn index(&mut self, base: Node, key: Node) -> Parsed<Node> {
        self.node(Kind::Index(Box::new(base), Box::new(key)))
    }

    fn bracket(&mut self, base: Node) -> Parsed<Node> {
        self.expect("[")?;
        if self.lexer.take_symbol("]")? {
            return self.node(Kind::Iterate(Box::new(base)));
        }
        let base = Box::new(base);
        if self.lexer.take_symbol(":")? {
            let to = self.pipe(true)?;
            self.expect("]")?;
            return self.node(Kind::Slice(base, None, Some(Box::new(to))));
        }
        let from = self.pipe(true)?;
        if self.lexer.take_symbol(":")? {
            if self.lexer.take_symbol("]")? {
                return self.node(Kind::Slice(base, Some(Box::new(from)), None));
            }
            let to = self.pipe(true)?;
            self.expect("]")?;
            return self.node(Kind::Slice(base, Some(Box::new(from)), Some(Box::new(to))));
        }
        self.expect("]")?;
        self.node(Kind::Index(base, Box::new(from)))
    }

    fn term(&mut self) -> Parsed<Node> {
        let at = self.lexer.at();
        match self.lexer.peek()? {
            Token::Quote => self.string(None),
            Token::Number(text) => {
                self.lexer.next()?;
                let number =
                    super::ops::parse_number(text).ok_or_else(|| problem(at, "not a number", None))?;
                Ok(Node::literal(Value::new(number)))
            }
            Token::Field(name) => {
                self.lexer.next()?;
                self.index(Node::new(Kind::Identity), Node::literal(Value::string(name)))
            }
            Token::Symbol(".") => {
                self.lexer.next()?;
                match self.lexer.peek()? {
                    Token::Quote => {
                        let key = self.string(None)?;
                        self.index(Node::new(Kind::Identity), key)
                    }
                    _ => Ok(Node::new(Kind::Identity)),
                }
            }
            Token::Symbol("..") => {
                self.lexer.next()?;
                self.node(Kind::Native(Native::Recurse, Vec::new()))
            }
            Token::Symbol("(") => self.parenthesised(),
            Token::Symbol("[") => {
                self.lexer.next()?;
                if self.lexer.take_symbol("]")? {
                    return Ok(Node::new(Kind::Array(None)));
                }
                let inner = self.pipe(true)?;
                self.expect("]")?;
                self.node(Kind::Array(Some(Box::new(inner))))
            }
            Token::Symbol("{") => self.object(),
            Token::Variable(name) => {
                self.lexer.next()?;
                self.variable(name, at)
            }
            Token::Format(name) => {
                self.lexer.next()?;
                let format = Format::named(name).ok_or_else(|| {
                    problem(
                        at,
                        format!("unknown format `@{name}`"),
                        Some("formats: @text @json @base64 @base64d @uri @csv @tsv @html @sh".into()),
                    )
                })?;
                if self.lexer.peek()? == Token::Quote {
                    return self.string(Some(format));
                }
                self.node(Kind::Text(Some(format), vec![Part::Node(Node::new(Kind::Identity))]))
            }
            Token::Word(word) => {
                self.lexer.next()?;
                self.word(word, at)
            }
            Token::End => Err(problem(at, "the expression ends where a value is expected", None)),
            Token::Symbol(symbol) => Err(problem(at, format!("unexpected `{symbol}`"), None)),
        }
    }

    fn parenthesised(&mut self) -> Parsed<Node> {
        self.expect("(")?;
        let inner = self.pipe(true)?;
        self.expect(")")?;
        Ok(inner)
    }

    fn object(&mut self) -> Parsed<Node> {
        self.expect("{")?;
        let mut members = Vec::new();
        while !self.lexer.take_symbol("}")? {
            members.push(self.member()?);
            if !self.lexer.take_symbol(",")? {
                self.expect("}")?;
                break;
            }
        }
        self.node(Kind::Object(members))
    }

    fn member(&mut self) -> Parsed<(Node, Node)> {
        let at = self.lexer.at();
        let (key, short) = match self.lexer.peek()? {
            Token::Variable(name) => {
                self.lexer.next()?;
                return Ok((Node::literal(Value::string(name)), self.variable(name, at)?));
            }
            Token::Word(name) => {
                self.lexer.next()?;
                let name = Value::string(name);
                let field = self.index(Node::new(Kind::Identity), Node::literal(name.clone()))?;
                (Node::literal(name), Some(field))
            }
            Token::Number(text) => {
                self.lexer.next()?;
                return Err(problem(
                    at,
                    format!("the key `{text}` is a number"),
                    Some(format!("write \"{text}\"")),
                ));
            }
            Token::Quote => {
                let before = self.lexer;
                let key = self.string(None)?;
                if self.lexer.peek()? == Token::Symbol(":") {
                    (key, None)
                } else {
                    self.lexer = before;
                    let again = self.string(None)?;
                    let field = self.index(Node::new(Kind::Identity), again)?;
                    (key, Some(field))
                }
            }
            Token::Symbol("(") => (self.parenthesised()?, None),
            _ => return Err(problem(at, "expected a key of the object", None)),
        };
        if self.lexer.take_symbol(":")? {
            return Ok((key, self.pipe(false)?));
        }
        match short {
            Some(field) => Ok((key, field)),
            None => Err(problem(self.lexer.at(), "expected `:` and a value", None)),
        }
    }

    fn word(&mut self, word: &'a str, at: usize) -> Parsed<Node> {
        match word {
            "if" => self.condition(),
            "try" => {
                let body = self.post_term()?;
                let handler =
                    if self.lexer.take_word("catch")? { Some(Box::new(self.post_term()?)) } else { None };
                self.node(Kind::Try(Box::new(body), handler))
            }
            "reduce" | "foreach" => self.fold(word == "reduce"),
            "break" => {
                let name = self.variable_name()?;
                let found = self.scope.iter().rev().position(|e| matches!(e, Entry::Label(n) if *n == name));
                let index = found.ok_or_else(|| {
                    problem(at, format!("there is no `label ${name}` around this `break`"), None)
                })?;
                self.node(Kind::Break(index))
            }
            "true" => Ok(Node::literal(Value::new(Data::Bool(true)))),
            "false" => Ok(Node::literal(Value::new(Data::Bool(false)))),
            "null" => Ok(Node::literal(Value::NULL)),
            "then" | "elif" | "else" | "end" | "as" | "and" | "or" | "catch" | "def" | "label" => {
                Err(problem(at, format!("unexpected `{word}`"), None))
            }
            _ => self.call(word, at),
        }
    }

    fn post_term(&mut self) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        let node = self.postfix()?;
        self.nesting -= 1;
        Ok(node)
    }

    fn condition(&mut self) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep());
        }
        let condition = Box::new(self.pipe(true)?);
        self.expect_word("then")?;
        let then = Box::new(self.pipe(true)?);
        let at = self.lexer.at();
        let other = match self.lexer.next()? {
            Token::Word("elif") => self.condition()?,
            Token::Word("else") => {
                let other = self.pipe(true)?;
                self.expect_word("end")?;
                other
            }
            Token::Word("end") => Node::new(Kind::Identity),
            _ => return Err(problem(at, "expected `elif`, `else` or `end`", None)),
        };
        self.nesting -= 1;
        self.node(Kind::If(condition, then, Box::new(other)))
    }

    fn fold(&mut self, reduce: bool) -> Parsed<Node> {
        let source = self.post_term()?;
        self.expect_word("as")?;
        let mut names = Vec::new();
        let pattern = self.pattern(&mut names)?;
        let slots = names.len();
        self.expect("(")?;
        let init = self.pipe(true)?;
        self.expect(";")?;
        self.scope.extend(names.into_iter().map(Entry::Variable));
        let update = self.pipe(true)?;
        let extract = if !reduce && self.lexer.take_symbol(";")? { Some(self.pipe(true)?) } else { None };
        self.scope.truncate(self.scope.len() - slots);
        self.expect(")")?;
        let fold = Box::new(Fold { source, pattern, slots, init, update, extract });
        self.node(if reduce { Kind::Reduce(fold) } else { Kind::Foreach(fold) })
    }

    fn variable(&mut self, name: &str, at: usize) -> Parsed<Node> {
        let found = self.scope.iter().rev().position(|e| matches!(e, Entry::Variable(n) if n == name));
        if let Some(index) = found {
            return self.node(Kind::Variable(index));
        }
        if let Some(why) = native::refused(&format!("${name}")) {
            return Err(problem(at, format!("`${name}` is not available"), Some(why.into())));
        }
        let slot = self.shared.globals.iter().position(|n| **n == *name).unwrap_or_else(|| {
            self.shared.globals.push(name.into());
            self.shared.globals.len() - 1
        });
        self.node(Kind::Global(slot))
    }

    fn call(&mut self, name: &str, at: usize) -> Parsed<Node> {
        let mut args = Vec::new();
        if self.lexer.take_symbol("(")? {
            args.push(self.pipe(true)?);
            while self.lexer.take_symbol(";")? {
                args.push(self.pipe(true)?);
            }
            self.expect(")")?;
        }
        let arity = args.len();
        let found = self.scope.iter().rev().position(|entry| match entry {
            Entry::Function(n, a) => n == name && *a == arity,
            Entry::Closure(n) => n == name && arity == 0,
            Entry::Variable(_) | Entry::Label(_) => false,
        });
        if let Some(index) = found {
            let closure = matches!(self.scope[self.scope.len() - 1 - index], Entry::Closure(_));
            return self.node(if closure { Kind::Closure(index) } else { Kind::Call(index, args) });
        }
        if (self.prelude || !name.starts_with('_'))
            && let Some(built) = self.built_in(name, args, at)?
        {
            return Ok(built);
        }
        Err(self.unknown(name, arity, at))
    }

    /// A built-in; the frequent ones are unfolded where they stand.
    fn built_in(&mut self, name: &str, mut args: Vec<Node>, at: usize) -> Parsed<Option<Node>> {
        let kind = match (name, args.len()) {
            ("select", 1) => Kind::If(
                Box::new(args.swap_remove(0)),
                Box::new(Node::new(Kind::Identity)),
                Box::new(Node::new(Kind::Native(Native::Empty, Vec::new()))),
            ),
            ("map", 1) => {
                let all = Node::new(Kind::Iterate(Box::new(Node::new(Kind::Identity))));
                let each = Node::new(Kind::Pipe(vec![all, args.swap_remove(0)]));
                Kind::Array(Some(Box::new(each)))
            }
            (_, arity) => {
                if let Some(native) = Native::named(name, arity) {
                    Kind::Native(native, args)
                } else if let Some(index) =
                    PRELUDE.iter().position(|(n, p, _)| *n == name && p.len() == arity)
                {
                    Kind::CallTop(self.prelude_function(index, at)?, args)
                } else {
                    return Ok(None);
                }
            }
        };
        self.node(kind).map(Some)
    }

    fn prelude_function(&mut self, index: usize, at: usize) -> Parsed<usize> {
        if let Some(slot) = self.shared.functions.iter().position(|(i, _)| *i == index) {
            return Ok(slot);
        }
        let slot = self.shared.functions.len();
        self.shared.functions.push((index, None));
        let (_, params, body) = &PRELUDE[index];
        let params: Vec<_> =
            params.iter().map(|p| (p.trim_start_matches('$').to_owned(), p.starts_with('$'))).collect();
        // The prelude nests by itself at most a few levels, so it starts its own count.
        let mut parser = Parser {
            lexer: Lexer::new(body),
            scope: Vec::new(),
            nesting: 0,
            prelude: true,
            shared: self.shared,
        };
        let function = parser.function_body(&params).map_err(|e| problem(at, e.message, e.hint))?;
        self.shared.functions[slot].1 = Some(function);
        Ok(slot)
    }

    fn unknown(&self, name: &str, arity: usize, at: usize) -> ParseError {
        if let Some(why) = native::refused(name) {
            return problem(at, format!("`{name}` is not available"), Some(why.into()));
        }
        let local = self.scope.iter().filter_map(|entry| match entry {
            Entry::Function(n, _) | Entry::Closure(n) => Some(n.as_str()),
            Entry::Variable(_) | Entry::Label(_) => None,
        });
        let hint = native::nearest(name, local).map(|near| match near == name {
            true => format!("`{name}` exists with another number of arguments"),
            false => format!("did you mean `{near}`?"),
        });
        problem(at, format!("unknown function `{name}` with {arity} arguments"), hint)
    }

    /// A string with its interpolations; the next token is the opening quote.
    fn string(&mut self, format: Option<Format>) -> Parsed<Node> {
        self.lexer.next()?;
        let mut parts = Vec::new();
        loop {
            let (text, more) = self.lexer.text()?;
            if !text.is_empty() {
                parts.push(Part::Text(text.into()));
            }
            if !more {
                break;
            }
            let inner = self.pipe(true)?;
            parts.push(Part::Node(inner));
            self.lexer.close_interpolation()?;
        }
        match parts.as_slice() {
            [] => Ok(Node::literal(Value::string(""))),
            [Part::Text(text)] => Ok(Node::literal(Value::string(text))),
            _ => self.node(Kind::Text(Some(format.unwrap_or(Format::Text)), parts)),
        }
    }

    fn node(&self, kind: Kind) -> Parsed<Node> {
        let node = Node::new(kind);
        if node.height > NESTING_MAX { Err(self.too_deep()) } else { Ok(node) }
    }

    fn too_deep(&self) -> ParseError {
        problem(
            self.lexer.start(),
            format!("the expression nests deeper than {NESTING_MAX} levels"),
            Some("split it into several steps, or name parts with `as $name`".into()),
        )
    }

    fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.lexer.take_symbol(symbol)? {
            return Ok(());
        }
        Err(problem(self.lexer.at(), format!("expected `{symbol}`"), None))
    }

    fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.lexer.take_word(word)? {
            return Ok(());
        }
        Err(problem(self.lexer.at(), format!("expected `{word}`"), None))
    }

    fn expect_end(&mut self) -> Parsed<()> {
        match self.lexer.peek()? {
            Token::End => Ok(()),
            _ => Err(problem(self.lexer.at(), "expected the end of the expression", None)),
        }
    }
}

/// Symbol, level, least level to its right, and whether a second one on the same level is an error.
fn operator(token: Token<'_>) -> Option<(&'static str, u8, u8, bool)> {
    let symbol = match token {
        Token::Symbol(symbol) => symbol,
        Token::Word("or") => "or",
        Token::Word("and") => "and",
        _ => return None,
    };
    Some(match symbol {
        "//" => (symbol, 1, 1, false),
        "=" | "|=" | "+=" | "-=" | "*=" | "/=" | "%=" | "//=" => (symbol, 2, 3, true),
        "or" => (symbol, 3, 4, false),
        "and" => (symbol, 4, 5, false),
        "==" | "!=" | "<" | "<=" | ">" | ">=" => (symbol, 5, 6, true),
        "+" | "-" => (symbol, 6, 7, false),
        "*" | "/" | "%" => (symbol, 7, 8, false),
        _ => return None,
    })
}
