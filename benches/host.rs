//! Time of the host's parts of a step: scheduler, tokenizer, chat template, sampler. The tokenizer is the real one:
//! `tools/get-model` fetches it. `cargo bench --bench host`

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up ends by panicking"
)]

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use qwarp::DType;
use qwarp::backend::rng::philox;
use qwarp::backend::sampling::{SampleRow, SamplingParams, sample};
use qwarp::config::EngineConfig;
use qwarp::engine::Request;
use qwarp::engine::scheduler::{Scheduled, Scheduler};
use qwarp::engine::sequence::{Sequence, SequenceId};
use qwarp::tokenizer::chat::{Chat, ChatTemplate, CivilTime};
use qwarp::tokenizer::{Specials, Tokenizer};
use serde_json::{Map, json};

const VOCAB: usize = 151_936;
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/qwen2.5-coder-0.5b-instruct"
);

/// A scheduler in which `count` sequences decode.
fn decoding(count: usize) -> Scheduler {
    let mut scheduler = Scheduler::new(EngineConfig {
        dtype: DType::Bf16,
        threads: 1,
        max_num_seqs: count,
        max_batched_tokens: count * 16,
        max_logit_rows: count,
        max_model_len: 4096,
    });
    for id in 0..count {
        let prompt = (0..8 + id as u32 % 8).collect();
        scheduler.add(Sequence::new(
            SequenceId(id as u64),
            Request::new(prompt, 4000),
        ));
    }
    let batch = scheduler.schedule();
    draw(&mut scheduler, &batch);
    scheduler
}

/// What a step does for the scheduler: each sequence draws a token.
fn draw(scheduler: &mut Scheduler, batch: &[Scheduled]) {
    let drawn: Vec<_> = (0..).zip(batch).map(|(n, s)| (s.running, n)).collect();
    scheduler.advance(batch, &drawn);
    for scheduled in batch {
        let id = scheduler.running()[scheduled.running].id;
        scheduler.push_token(id, 1);
    }
}

/// A decode step of the scheduler: pick, mark, append.
fn schedule(c: &mut Criterion) {
    for count in [1, 64, 256] {
        c.bench_function(&format!("scheduler/{count}"), |b| {
            b.iter_batched_ref(
                || decoding(count),
                |scheduler| {
                    let batch = scheduler.schedule();
                    draw(scheduler, &batch);
                    batch.len()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

/// `bytes` of text in which sentences come in an order of their own, cut at a character.
fn text(sentences: &[&str], bytes: usize) -> String {
    let mut text = String::new();
    let mut turn = 0;
    while text.len() < bytes {
        let random = philox([turn, 0, 0, 0], [5, 0]);
        text.push_str(sentences[random[0] as usize % sentences.len()]);
        // A number, so that no two stretches are the same.
        text.push_str(&format!(" {} ", random[1] % 1000));
        turn += 1;
    }
    text.truncate(text.floor_char_boundary(bytes));
    text
}

fn texts() -> [(&'static str, Vec<&'static str>); 3] {
    let chinese = "今天天气很好，我们去公园散步吧。人工智能正在改变人们的生活方式。他每天早上七点起床，然后跑步三公里。\
        这本书讲述了一个关于勇气与友谊的故事。请把窗户关上，外面的风太大了。科学家发现了一种新的深海生物。\
        北京是中华人民共和国的首都，历史悠久。程序员花了三天时间才找到这个错误。春天来了，花园里的樱花都开了。";
    [
        (
            "english",
            include_str!("../ARCHITECTURE.md").lines().collect(),
        ),
        ("chinese", chinese.split_inclusive('。').collect()),
        (
            "code",
            include_str!("../src/engine/scheduler.rs")
                .split_inclusive('\n')
                .collect(),
        ),
    ]
}

fn tokenizer(c: &mut Criterion) {
    let tokenizer = Tokenizer::open(Path::new(MODEL)).unwrap();
    let mut group = c.benchmark_group("tokenizer");
    for (name, sentences) in texts() {
        for kib in [1, 64] {
            let text = text(&sentences, kib << 10);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("encode/{name}/{kib}_KiB"), |b| {
                b.iter(|| tokenizer.encode(black_box(&text)).unwrap().len());
            });
        }
        let ids = tokenizer.encode(&text(&sentences, 64 << 10)).unwrap();
        // Throughput over tokens: a stream decodes one at a time.
        group.throughput(Throughput::Elements(ids.len() as u64));
        group.bench_function(format!("detokenizer/{name}"), |b| {
            b.iter(|| {
                let mut stream = tokenizer.detokenizer(Specials::Show);
                ids.iter().map(|&id| stream.push(id).len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

fn chat(c: &mut Criterion) {
    let template = ChatTemplate::open(Path::new(MODEL)).unwrap().unwrap();
    for turns in [1, 20] {
        let messages: Vec<_> = (0..turns)
            .flat_map(|turn| {
                [("user", "What is"), ("assistant", "It is")].map(
                    |(role, start)| json!({ "role": role, "content": format!("{start} {turn}?") }),
                )
            })
            .collect();
        let chat = Chat {
            messages: &messages,
            tools: None,
            add_generation_prompt: true,
            variables: &Map::new(),
            now: CivilTime::from_unix(0),
        };
        c.bench_function(&format!("chat/{turns}_turns"), |b| {
            b.iter(|| template.render(&chat).unwrap().len());
        });
    }
}

fn sampler(c: &mut Criterion) {
    let value = |i: usize| ((i * 37 % 1009) as f32 - 504.0) / 35.0 + i as f32 * 1e-6;
    let logits: Vec<f32> = (0..VOCAB).map(value).collect();
    for (name, temperature, top_k, top_p, presence_penalty) in [
        ("greedy", 0.0, 0, 1.0, 0.0),
        ("greedy_presence", 0.0, 0, 1.0, 0.5),
        ("full", 0.8, 0, 1.0, 0.0),
        ("top_k_50", 0.8, 50, 1.0, 0.0),
        ("top_k_50_top_p_0.9", 0.8, 50, 0.9, 0.0),
        ("top_p_0.9", 0.8, 0, 0.9, 0.0),
        ("top_p_0.9_hot", 100.0, 0, 0.9, 0.0),
    ] {
        let params = SamplingParams {
            temperature,
            top_k,
            top_p,
            presence_penalty,
            seed: 1,
            ..SamplingParams::GREEDY
        };
        let row = SampleRow {
            params,
            position: 7,
            history: (0..4096).collect::<Vec<u32>>().into(),
            ..SampleRow::default()
        };
        c.bench_function(&format!("sample/{name}"), |b| {
            b.iter(|| sample(black_box(&logits), &row))
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = schedule, tokenizer, chat, sampler
}
criterion_main!(benches);
