//! From a text to an expression.

use std::vec::IntoIter;

use super::functions::Function;
use super::token::{Token, tokens};
use super::{DEEP, Loop, LoopKind, Node, Value};

/// Words that are no names.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

pub(super) fn expression(text: &str) -> Option<Node> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter(), open: 0 };
    let (node, _) = parser.expression()?;
    parser.tokens.as_slice().is_empty().then_some(node)
}

struct Parser {
    tokens: IntoIter<Token>,
    /// How many expressions are not at their end.
    open: usize,
}

/// A part of an expression, and how deep it is.
type Part = (Node, usize);

/// Something around parts of which the deepest is so deep.
fn around(node: Node, deepest: usize) -> Option<Part> {
    (deepest < DEEP).then_some((node, deepest + 1))
}

fn call(function: Function, arguments: Vec<Part>) -> Option<Part> {
    let deepest = arguments.iter().map(|(_, deep)| *deep).max().unwrap_or_default();
    around(Node::Call(function, arguments.into_iter().map(|(node, _)| node).collect()), deepest)
}

/// Operators that bind equally, the loosest first.
const OPERATORS: [&[(&str, Function)]; 3] = [
    &[
        ("==", Function::Equal),
        ("!=", Function::Unequal),
        ("<", Function::Less),
        ("<=", Function::LessOrEqual),
        (">", Function::Greater),
        (">=", Function::GreaterOrEqual),
        ("in", Function::In),
    ],
    &[("+", Function::Add), ("-", Function::Subtract)],
    &[("*", Function::Multiply), ("/", Function::Divide), ("%", Function::Remainder)],
];

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.as_slice().first()
    }

    /// Whether the next token is this symbol, which is then taken.
    fn takes(&mut self, symbol: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol);
        if is_next {
            self.tokens.next();
        }
        is_next
    }

    fn expect(&mut self, symbol: &str) -> Option<()> {
        self.takes(symbol).then_some(())
    }

    fn expression(&mut self) -> Option<Part> {
        self.open += 1;
        if self.open > DEEP {
            return None;
        }
        let condition = self.any()?;
        let part = if self.takes("?") {
            let then = self.any()?;
            self.expect(":")?;
            let other = self.expression()?;
            let deepest = condition.1.max(then.1).max(other.1);
            around(Node::Choice(Box::new([condition.0, then.0, other.0])), deepest)
        } else {
            Some(condition)
        };
        self.open -= 1;
        part
    }

    fn any(&mut self) -> Option<Part> {
        self.joined("||", Node::Any, |parser| parser.joined("&&", Node::All, |parser| parser.binary(0)))
    }

    fn joined(
        &mut self,
        symbol: &str,
        join: impl Fn(Vec<Node>) -> Node,
        part: impl Fn(&mut Self) -> Option<Part>,
    ) -> Option<Part> {
        let (first, mut deepest) = part(self)?;
        if !self.takes(symbol) {
            return Some((first, deepest));
        }
        let mut parts = vec![first];
        loop {
            let (next, deep) = part(self)?;
            parts.push(next);
            deepest = deepest.max(deep);
            if !self.takes(symbol) {
                return around(join(parts), deepest);
            }
        }
    }

    /// Operators of this level, which bind to the left.
    fn binary(&mut self, level: usize) -> Option<Part> {
        let Some(operators) = OPERATORS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let next = match self.peek() {
                Some(Token::Symbol(symbol)) => symbol,
                Some(Token::Name(name)) => name.as_str(),
                _ => return Some(left),
            };
            let Some((_, function)) = operators.iter().find(|(symbol, _)| *symbol == next) else { return Some(left) };
            self.tokens.next();
            let right = self.binary(level + 1)?;
            left = call(*function, vec![left, right])?;
        }
    }

    fn unary(&mut self) -> Option<Part> {
        for (symbol, function) in [("!", Function::Not), ("-", Function::Negate)] {
            let mut times = 0_usize;
            while self.takes(symbol) {
                times += 1;
            }
            if times > 0 {
                // The least number is only one with its sign.
                let part = match (function, self.peek()) {
                    (Function::Negate, Some(Token::Int(number))) if times % 2 == 1 => {
                        let number = 0_i64.checked_sub_unsigned(*number)?;
                        self.tokens.next();
                        return self.members((Node::Value(Value::Int(number)), 1));
                    }
                    _ => {
                        let first = self.primary()?;
                        self.members(first)?
                    }
                };
                // Twice is not at all.
                return if times % 2 == 1 { call(function, vec![part]) } else { Some(part) };
            }
        }
        let first = self.primary()?;
        self.members(first)
    }

    /// Fields, methods and places behind something.
    fn members(&mut self, mut part: Part) -> Option<Part> {
        loop {
            if self.takes(".") {
                let Some(Token::Name(name)) = self.tokens.next() else { return None };
                part = if self.takes("(") {
                    self.method(part, &name)?
                } else if RESERVED.contains(&name.as_str()) {
                    return None;
                } else {
                    around(Node::Field(Box::new(part.0), name), part.1)?
                };
            } else if self.takes("[") {
                let place = self.expression()?;
                self.expect("]")?;
                part = call(Function::Index, vec![part, place])?;
            } else {
                return Some(part);
            }
        }
    }

    fn primary(&mut self) -> Option<Part> {
        let node = match self.tokens.next()? {
            Token::Int(number) => Node::Value(Value::Int(number.try_into().ok()?)),
            Token::Uint(number) => Node::Value(Value::Uint(number)),
            Token::Double(number) => Node::Value(Value::Double(number)),
            Token::Text(text) => Node::Value(Value::Text(text.into())),
            Token::Bytes(bytes) => Node::Value(Value::Bytes(bytes.into())),
            Token::Name(name) => return self.named(name),
            Token::Symbol(".") => {
                let Some(Token::Name(name)) = self.tokens.next() else { return None };
                return self.named(name);
            }
            Token::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Some(inner);
            }
            Token::Symbol("[") => {
                let (items, deepest) = self.items("]")?;
                return around(Node::List(items), deepest);
            }
            Token::Symbol("{") => return self.map(),
            Token::Symbol(_) => return None,
        };
        Some((node, 1))
    }

    fn named(&mut self, name: String) -> Option<Part> {
        let node = match name.as_str() {
            "true" => Node::Value(Value::Bool(true)),
            "false" => Node::Value(Value::Bool(false)),
            "null" => Node::Value(Value::Null),
            word if RESERVED.contains(&word) => return None,
            "has" if self.takes("(") => {
                let (asked, deep) = self.expression()?;
                self.expect(")")?;
                let Node::Field(of, field) = asked else { return None };
                return Some((Node::Has(of, field), deep));
            }
            _ if self.takes("(") => {
                let (arguments, deepest) = self.items(")")?;
                let function = Function::global(&name, arguments.len())?;
                return around(Node::Call(function, arguments), deepest);
            }
            _ => Node::Name(name),
        };
        Some((node, 1))
    }

    /// Expressions between commas up to a symbol, of which there may be none; a list may have a comma at its end, and nothing else.
    fn items(&mut self, end: &str) -> Option<(Vec<Node>, usize)> {
        let (mut items, mut deepest) = (Vec::new(), 0);
        if end == "]" && self.takes(",") {
            self.expect(end)?;
            return Some((items, deepest));
        }
        while !self.takes(end) {
            let (item, deep) = self.expression()?;
            items.push(item);
            deepest = deepest.max(deep);
            if !self.takes(",") {
                self.expect(end)?;
                break;
            }
            if end == ")" && matches!(self.peek(), Some(Token::Symbol(")"))) {
                return None;
            }
        }
        Some((items, deepest))
    }

    fn map(&mut self) -> Option<Part> {
        let (mut entries, mut deepest) = (Vec::new(), 0);
        if self.takes(",") {
            self.expect("}")?;
            return Some((Node::Map(entries), 1));
        }
        while !self.takes("}") {
            let (key, key_deep) = self.expression()?;
            self.expect(":")?;
            let (value, value_deep) = self.expression()?;
            entries.push([key, value]);
            deepest = deepest.max(key_deep).max(value_deep);
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        around(Node::Map(entries), deepest)
    }

    /// A method, or a macro that looks like one; its arguments are next.
    fn method(&mut self, (of, deep): Part, name: &str) -> Option<Part> {
        let (mut arguments, mut deepest) = self.items(")")?;
        deepest = deepest.max(deep);
        let kind = match (name, arguments.len()) {
            ("all", 2) => LoopKind::All,
            ("exists", 2) => LoopKind::Exists,
            ("exists_one", 2) => LoopKind::ExistsOne,
            ("map", 2 | 3) | ("filter", 2) => LoopKind::Collect,
            _ => {
                let function = Function::method(name, arguments.len())?;
                arguments.insert(0, of);
                return around(Node::Call(function, arguments), deepest);
            }
        };
        let mut arguments = arguments.into_iter();
        let Some(Node::Name(item)) = arguments.next() else { return None };
        let (first, second) = (arguments.next(), arguments.next());
        let (condition, result) = match (name, second) {
            ("map", None) => (None, first),
            (_, second) => (first, second),
        };
        around(Node::Loop(Box::new(Loop { kind, over: of, name: item, condition, result })), deepest)
    }
}
