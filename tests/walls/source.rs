//! Rust source as words, marks and texts, with the line of each: just enough of the language to read imports and literals, so that
//! what stands in a comment is never mistaken for code, nor code for a text.

use std::iter::Peekable;
use std::str::Chars;

/// One token and the line it begins on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a number.
    Word(String),
    /// What stands between the quotes of a string literal of any sort, as written.
    Text(String),
    /// Any other character.
    Mark(char),
}

impl Token {
    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        if let Kind::Word(word) = &self.kind { Some(word) } else { None }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Reads a source text.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { rest: source.chars().peekable(), line: 1 };
    std::iter::from_fn(|| reader.token()).collect()
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn take(&mut self) -> Option<char> {
        let taken = self.rest.next();
        self.line += usize::from(taken == Some('\n'));
        taken
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.take();
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn follows(&self, start: &str) -> bool {
        let mut rest = self.rest.clone();
        start.chars().all(|c| rest.next() == Some(c))
    }

    fn token(&mut self) -> Option<Token> {
        loop {
            if self.follows("//") {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.take();
                }
            } else if self.follows("/*") {
                self.block_comment();
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.take();
            } else if self.follows("'") {
                self.character_or_lifetime();
            } else {
                break;
            }
        }
        let line = self.line;
        let first = self.take()?;
        let kind = match first {
            '"' => Kind::Text(self.text()),
            c if is_word(c) => self.word_or_text(c),
            c => Kind::Mark(c),
        };
        Some(Token { line, kind })
    }

    /// They nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.follows("/*") {
                self.take();
                depth += 1;
            } else if self.follows("*/") {
                self.take();
                depth -= 1;
            }
            if self.take().is_none() || depth == 0 {
                return;
            }
        }
    }

    /// Neither says anything about imports: both are left out.
    fn character_or_lifetime(&mut self) {
        self.take();
        let first = self.take();
        if first == Some('\\') {
            self.take();
            while self.take().is_some_and(|c| c != '\'') {}
        } else if self.follows("'") {
            self.take();
        } else {
            while self.peek().is_some_and(is_word) {
                self.take();
            }
        }
    }

    /// The opening quote has been taken.
    fn text(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.take() {
            match c {
                '"' => break,
                '\\' => text.extend([Some(c), self.take()].into_iter().flatten()),
                c => text.push(c),
            }
        }
        text
    }

    /// A word, unless it is the prefix of a literal: `b"…"`, `r#"…"#`.
    fn word_or_text(&mut self, first: char) -> Kind {
        let mut word = String::from(first);
        while let Some(c) = self.rest.next_if(|c| is_word(*c)) {
            word.push(c);
        }
        match word.as_str() {
            "b" | "c" if self.follows("\"") => {
                self.take();
                Kind::Text(self.text())
            }
            "r" | "br" | "cr" => self.raw_text().map_or(Kind::Word(word), Kind::Text),
            _ => Kind::Word(word),
        }
    }

    /// A raw string, when what follows the prefix is one; a raw name such as `r#type` is not.
    fn raw_text(&mut self) -> Option<String> {
        let hashes = self.rest.clone().take_while(|c| *c == '#').count();
        if self.rest.clone().nth(hashes) != Some('"') {
            return None;
        }
        self.skip(hashes + 1);
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        while !self.follows(&end) {
            text.push(self.take()?);
        }
        self.skip(end.len());
        Some(text)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first and last lines of the `#[cfg(test)] mod … { … }` blocks.
pub(super) fn test_blocks(tokens: &[Token]) -> Vec<(usize, usize)> {
    const HEAD: &str = "#[cfg(test)]mod";
    let mut blocks = Vec::new();
    for start in 0..tokens.len() {
        let head: String = tokens[start..].iter().take(8).map(written).collect();
        let open = start + 9;
        if head == HEAD && tokens.get(open).is_some_and(|token| token.is_mark('{')) {
            let end = after_group(tokens, open) - 1;
            blocks.push((tokens[start].line, tokens[end.min(tokens.len() - 1)].line));
        }
    }
    blocks
}

fn written(token: &Token) -> String {
    match &token.kind {
        Kind::Word(word) => word.clone(),
        Kind::Text(text) => format!("\"{text}\""),
        Kind::Mark(mark) => mark.to_string(),
    }
}

/// The index after the brace that closes the one at `open`.
pub(super) fn after_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        depth += usize::from(token.is_mark('{'));
        depth -= usize::from(token.is_mark('}'));
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

#[test]
fn comments_are_left_out_and_texts_are_kept_apart() {
    let source = "a // use b;\n/* c /* d */ e */ f \"g // \\\" h\" r#\"i \" j\"# b\"k\" r#type 'l' '\\'' '\\u{1F4DF}' &'m n";
    let read: Vec<_> = tokens(source).iter().map(|token| format!("{}:{}", token.line, written(token))).collect();
    let expected = ["1:a", "2:f", "2:\"g // \\\" h\"", "2:\"i \" j\"", "2:\"k\"", "2:r", "2:#", "2:type", "2:&", "2:n"];
    assert_eq!(read, expected);
}

#[test]
fn test_blocks_are_found_with_their_lines() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { if c {} }\n}\nfn d() {}\n#[cfg(test)]\nmod more;\n";
    assert_eq!(test_blocks(&tokens(source)), [(2, 5)]);
}
