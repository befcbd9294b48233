//! What a PromQL expression names, and which labels its result carries.
//!
//! Grafana's variables are no PromQL: [`Substitution`] puts values in their place first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

/// What stands in place of Grafana's variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution {
    /// For `$__rate_interval`.
    pub rate_interval: String,
    /// For `$__interval`.
    pub interval: String,
    /// For `$__range`.
    pub range: String,
    /// For the dashboard's own variables, by name. One that is not here is [`Substitution::ALL`].
    pub variables: BTreeMap<String, String>,
}

impl Substitution {
    /// What a variable stands for when everything is chosen.
    pub const ALL: &str = ".*";

    /// Every variable as Grafana has it with `All` chosen.
    pub fn all(rate_interval: &str, interval: &str, range: &str) -> Self {
        Self {
            rate_interval: rate_interval.to_owned(),
            interval: interval.to_owned(),
            range: range.to_owned(),
            variables: BTreeMap::new(),
        }
    }

    /// `text` without variables: `$name`, `${name}` and `${name:format}`.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((inner, tail)) => (inner.split(':').next().unwrap_or(inner), tail),
                None => {
                    after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len()))
                }
            };
            // The end of a regular expression, and `$1` in label_replace, are no variables.
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                out.push('$');
                rest = after;
                continue;
            }
            out.push_str(self.value(name));
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    fn value(&self, name: &str) -> &str {
        match name {
            "__rate_interval" => &self.rate_interval,
            "__interval" => &self.interval,
            "__range" => &self.range,
            _ => self.variables.get(name).map_or(Self::ALL, String::as_str),
        }
    }
}

/// One selector of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The metric; `None` for `{…}`.
    pub metric: Option<String>,
    /// Label, operator (`=`, `!=`, `=~`, `!~`), value.
    pub matchers: Vec<(String, &'static str, String)>,
    /// The range in brackets.
    pub range: Option<Duration>,
    /// The functions and aggregations around it, the nearest last.
    pub within: Vec<String>,
}

impl Selector {
    /// What this label must match: operator and value.
    pub fn matcher(&self, label: &str) -> Option<(&'static str, &str)> {
        self.matchers.iter().find(|(name, _, _)| name == label).map(|(_, op, value)| (*op, value.as_str()))
    }
}

/// A comparison of an expression with a plain number, as alerts have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// `>`, `<`, `>=`, `<=`, `==` or `!=`.
    pub operator: &'static str,
    /// The number on the right.
    pub value: f64,
}

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression(Expr);

impl Expression {
    /// Parses PromQL without variables.
    ///
    /// # Errors
    ///
    /// The parser's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        promql_parser::parser::parse(text).map(Self)
    }

    /// Every selector, from left to right.
    pub fn selectors(&self) -> Vec<Selector> {
        let mut found = Vec::new();
        walk(&self.0, &mut Vec::new(), &mut |expr, within| match expr {
            Expr::VectorSelector(vector) => found.push(selector(vector, None, within)),
            Expr::MatrixSelector(matrix) => found.push(selector(&matrix.vs, Some(matrix.range), within)),
            _ => {}
        });
        found
    }

    /// The comparisons with a plain number that decide whether there is a result, from left to right: those of each side of `or`, and of the left side of
    /// `and` and `unless`, whose right side only says when the left one counts. What is inside a comparison, as in `a / (b > 0) > 0.1`, is none of them.
    pub fn comparisons(&self) -> Vec<Comparison> {
        let mut found = Vec::new();
        comparisons(&self.0, &mut found);
        found
    }

    /// Labels in `by` that what is summed up does not have.
    pub fn grouping_errors(&self, labels_of: &dyn Fn(&str) -> Option<BTreeSet<String>>) -> Vec<String> {
        let mut errors = Vec::new();
        walk(&self.0, &mut Vec::new(), &mut |expr, _| {
            if let Expr::Aggregate(aggregate) = expr
                && let Some(LabelModifier::Include(wanted)) = &aggregate.modifier
            {
                let inner = labels(&aggregate.expr, labels_of);
                for label in wanted.labels.iter().filter(|label| !inner.contains(*label)) {
                    errors.push(format!("`{} by ({label})`: what it sums up has no label `{label}`", aggregate.op));
                }
            }
        });
        errors
    }

    /// What is divided by and might be 0: every right side of `/` that is neither a number nor kept above 0 by `> 0`.
    pub fn unguarded_divisors(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.0, &mut Vec::new(), &mut |expr, _| {
            if let Expr::Binary(binary) = expr
                && binary.op.to_string() == "/"
                && number(&binary.rhs).is_none()
                && !is_above_zero(&binary.rhs)
            {
                found.push(binary.rhs.to_string());
            }
        });
        found
    }

    /// The labels that the result has, given those of each metric. A metric that `labels_of` does not know has none; `""` stands for any.
    pub fn labels(&self, labels_of: &dyn Fn(&str) -> Option<BTreeSet<String>>) -> BTreeSet<String> {
        labels(&self.0, labels_of)
    }
}

fn selector(vector: &VectorSelector, range: Option<Duration>, within: &[String]) -> Selector {
    Selector { metric: vector.name.clone(), matchers: matchers(&vector.matchers), range, within: within.to_vec() }
}

fn matchers(matchers: &Matchers) -> Vec<(String, &'static str, String)> {
    let all = matchers.matchers.iter().chain(matchers.or_matchers.iter().flatten());
    all.map(|matcher| {
        let operator = match matcher.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Re(_) => "=~",
            MatchOp::NotRe(_) => "!~",
        };
        (matcher.name.clone(), operator, matcher.value.clone())
    })
    .collect()
}

/// Visits every expression, those to the left first, with the functions and aggregations around it.
fn walk(expr: &Expr, within: &mut Vec<String>, visit: &mut dyn FnMut(&Expr, &[String])) {
    visit(expr, within);
    let mut inside = |name: Option<String>, parts: &[&Expr], visit: &mut dyn FnMut(&Expr, &[String])| {
        let depth = within.len();
        within.extend(name);
        for part in parts {
            walk(part, within, visit);
        }
        within.truncate(depth);
    };
    match expr {
        Expr::Aggregate(AggregateExpr { op, expr, param, .. }) => {
            let parts: Vec<&Expr> = param.iter().map(|param| &**param).chain([&**expr]).collect();
            inside(Some(op.to_string()), &parts, visit);
        }
        Expr::Call(Call { func, args }) => {
            let parts: Vec<&Expr> = args.args.iter().map(|argument| &**argument).collect();
            inside(Some(func.name.to_owned()), &parts, visit);
        }
        Expr::Binary(BinaryExpr { lhs, rhs, .. }) => inside(None, &[lhs, rhs], visit),
        Expr::Unary(unary) => inside(None, &[&unary.expr], visit),
        Expr::Paren(paren) => inside(None, &[&paren.expr], visit),
        Expr::Subquery(subquery) => inside(None, &[&subquery.expr], visit),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => {}
    }
}

/// See [`Expression::comparisons`].
fn comparisons(expr: &Expr, found: &mut Vec<Comparison>) {
    match expr {
        Expr::Paren(paren) => comparisons(&paren.expr, found),
        Expr::Binary(binary) if binary.op.is_set_operator() => {
            comparisons(&binary.lhs, found);
            if binary.op.to_string() == "or" {
                comparisons(&binary.rhs, found);
            }
        }
        Expr::Binary(binary) if binary.op.is_comparison_operator() => {
            if let (Some(value), Some(operator)) = (number(&binary.rhs), operator(&binary.op.to_string())) {
                found.push(Comparison { operator, value });
            }
        }
        _ => {}
    }
}

fn operator(text: &str) -> Option<&'static str> {
    [">", "<", ">=", "<=", "==", "!="].into_iter().find(|operator| *operator == text)
}

/// A number, or one in parentheses or with a sign.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(paren) => number(&paren.expr),
        Expr::Unary(unary) => number(&unary.expr).map(|value| -value),
        _ => None,
    }
}

/// `… > 0`, in parentheses.
fn is_above_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => is_above_zero(&paren.expr),
        Expr::Binary(binary) => binary.op.to_string() == ">" && number(&binary.rhs) == Some(0.0),
        _ => false,
    }
}

fn labels(expr: &Expr, labels_of: &dyn Fn(&str) -> Option<BTreeSet<String>>) -> BTreeSet<String> {
    match expr {
        Expr::VectorSelector(vector) => labels_of(vector.name.as_deref().unwrap_or("")).unwrap_or_default(),
        Expr::MatrixSelector(matrix) => labels_of(matrix.vs.name.as_deref().unwrap_or("")).unwrap_or_default(),
        Expr::Paren(paren) => labels(&paren.expr, labels_of),
        Expr::Unary(unary) => labels(&unary.expr, labels_of),
        Expr::Subquery(subquery) => labels(&subquery.expr, labels_of),
        Expr::Aggregate(aggregate) => aggregate_labels(aggregate, labels_of),
        Expr::Call(call) => call_labels(call, labels_of),
        Expr::Binary(binary) => binary_labels(binary, labels_of),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => BTreeSet::new(),
    }
}

fn aggregate_labels(
    aggregate: &AggregateExpr,
    labels_of: &dyn Fn(&str) -> Option<BTreeSet<String>>,
) -> BTreeSet<String> {
    let inner = labels(&aggregate.expr, labels_of);
    let operator = aggregate.op.to_string();
    if ["topk", "bottomk", "limitk", "limit_ratio"].contains(&operator.as_str()) {
        return inner;
    }
    let mut kept = match &aggregate.modifier {
        None => BTreeSet::new(),
        Some(LabelModifier::Include(wanted)) => only(&inner, &wanted.labels),
        Some(LabelModifier::Exclude(dropped)) => without(inner, &dropped.labels),
    };
    if operator == "count_values"
        && let Some(Expr::StringLiteral(label)) = aggregate.param.as_deref()
    {
        kept.insert(label.val.clone());
    }
    kept
}

fn call_labels(call: &Call, labels_of: &dyn Fn(&str) -> Option<BTreeSet<String>>) -> BTreeSet<String> {
    let arguments = &call.args.args;
    let inner = || arguments.iter().flat_map(|argument| labels(argument, labels_of)).collect::<BTreeSet<_>>();
    match call.func.name {
        "scalar" | "vector" | "time" | "absent" | "absent_over_time" | "pi" => BTreeSet::new(),
        "histogram_quantile" => without(inner(), &["le".to_owned()]),
        "label_replace" | "label_join" => {
            let mut all = inner();
            if let Some(Expr::StringLiteral(target)) = arguments.get(1).map(|argument| &**argument) {
                all.insert(target.val.clone());
            }
            all
        }
        _ => inner(),
    }
}

fn binary_labels(binary: &BinaryExpr, labels_of: &dyn Fn(&str) -> Option<BTreeSet<String>>) -> BTreeSet<String> {
    let (left, right) = (labels(&binary.lhs, labels_of), labels(&binary.rhs, labels_of));
    let is_scalar = |expr: &Expr| expr.value_type() == promql_parser::parser::value::ValueType::Scalar;
    if is_scalar(&binary.lhs) {
        return right;
    }
    if is_scalar(&binary.rhs) {
        return left;
    }
    match binary.op.to_string().as_str() {
        "and" | "unless" => return left,
        // A legend must hold for the series of either side.
        "or" => return left.intersection(&right).cloned().collect(),
        _ => {}
    }
    let modifier = binary.modifier.as_ref();
    match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::ManyToOne(added)) => left.into_iter().chain(added.labels.clone()).collect(),
        Some(VectorMatchCardinality::OneToMany(added)) => right.into_iter().chain(added.labels.clone()).collect(),
        _ => match modifier.and_then(|modifier| modifier.matching.as_ref()) {
            Some(LabelModifier::Include(on)) => only(&left, &on.labels),
            Some(LabelModifier::Exclude(ignored)) => without(left, &ignored.labels),
            None => left,
        },
    }
}

fn only(labels: &BTreeSet<String>, wanted: &[String]) -> BTreeSet<String> {
    wanted.iter().filter(|label| labels.contains(*label)).cloned().collect()
}

fn without(mut labels: BTreeSet<String>, dropped: &[String]) -> BTreeSet<String> {
    labels.retain(|label| !dropped.contains(label));
    labels
}

#[cfg(test)]
mod tests;
