//! Turns with another program that times the same work.

use std::io::{BufRead, Write};

use super::Benchmark;
use super::contestant::Contestant;
use crate::Error;

/// Times one model whenever it is asked to: each line of `asked` holds two numbers, rounds that are not timed and rounds
/// that are; the answer is one line of JSON, `{"ms": [210.4, 209.8]}`, with the milliseconds of a pass in each timed round. A program
/// that asks us and another in turns compares them in one run, without starting either anew. Ends with `asked`.
///
/// Before the first line is read, the model is built and warm, and the line `{"device": "cpu", "threads": 2}` is written.
///
/// # Errors
/// As [`super::run`]; a line that is not two numbers; [`Error::Io`].
pub fn turns(benchmark: &Benchmark, asked: &mut dyn BufRead, answers: &mut dyn Write) -> Result<(), Error> {
    let device = benchmark.device.device()?;
    if benchmark.models.len() > 1 {
        let value = format!("{} models", benchmark.models.len());
        return Err(Error::Invalid { key: "bench --turns", value, expected: "one model".to_owned() });
    }
    let mut contestants = Contestant::all(benchmark, device)?;
    let contestant = &mut contestants[0];
    let about = serde_json::json!({ "device": crate::machine::device_name(device), "threads": tch::get_num_threads() });
    answer(answers, &about)?;
    let mut line = String::new();
    while asked.read_line(&mut line).map_err(Error::io("read", "standard input".as_ref()))? > 0 {
        let (untimed, timed) = numbers(&line)?;
        for _ in 0..untimed {
            contestant.milliseconds(benchmark.passes)?;
        }
        let ms: Vec<f64> = (0..timed).map(|_| contestant.milliseconds(benchmark.passes)).collect::<Result<_, _>>()?;
        answer(answers, &serde_json::json!({ "ms": ms }))?;
        line.clear();
    }
    Ok(())
}

fn answer(answers: &mut dyn Write, value: &serde_json::Value) -> Result<(), Error> {
    writeln!(answers, "{value}").and_then(|()| answers.flush()).map_err(Error::io("write", "standard output".as_ref()))
}

fn numbers(line: &str) -> Result<(usize, usize), Error> {
    let words: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match (words.as_slice(), line.split_whitespace().count()) {
        (&[untimed, timed], 2) => Ok((untimed, timed)),
        _ => Err(Error::Invalid {
            key: "a line for bench --turns",
            value: format!("{:?}", line.trim_end()),
            expected: "two numbers, passes not timed and passes timed, such as 1 5".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn benchmark() -> Benchmark {
        Benchmark { models: vec!["base_cnn_w4".parse().unwrap()], batch: 1, ..Benchmark::default() }
    }

    #[test]
    fn every_line_is_answered_with_as_many_times_as_asked_for() {
        let mut answers = Vec::new();
        turns(&benchmark(), &mut &b"1 3\n0 1\n"[..], &mut answers).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0]["threads"].as_u64() >= Some(1));
        let counts: Vec<usize> = lines[1..].iter().map(|line| line["ms"].as_array().unwrap().len()).collect();
        assert_eq!(counts, [3, 1]);
    }

    #[test]
    fn another_line_is_refused() {
        for line in ["3\n", "one 2\n", "1 2 3\n", "\n"] {
            let error = turns(&benchmark(), &mut line.as_bytes(), &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains("expected two numbers"), "{line:?}: {error}");
        }
    }
}
