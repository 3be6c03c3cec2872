//! Top-k, top-p and min-p as a textbook has them: sort everything, f64 throughout, the C library's `exp`.

use qwarp::backend::sampling::SamplingParams;

/// A kept token and its probability among the kept.
pub type Kept = Vec<(u32, f64)>;

/// What the filters leave, in ascending id.
pub fn keep(logits: &[f32], params: &SamplingParams) -> Kept {
    let mut tokens: Vec<(u32, f64)> = (0..)
        .zip(logits)
        .filter(|(_, logit)| logit.is_finite())
        .map(|(id, &logit)| (id, f64::from(logit)))
        .collect();
    tokens.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    let largest = tokens[0].1;
    for (_, value) in &mut tokens {
        *value = ((*value - largest) / f64::from(params.temperature)).exp();
    }
    if params.top_k > 0 {
        tokens.truncate(params.top_k as usize);
    }
    if params.top_p < 1.0 {
        shorten(&mut tokens, f64::from(params.top_p));
    }
    tokens.retain(|&(_, weight)| weight >= f64::from(params.min_p));
    tokens.sort_by_key(|&(id, _)| id);
    let total: f64 = tokens.iter().map(|token| token.1).sum();
    tokens.iter_mut().for_each(|token| token.1 /= total);
    tokens
}

/// The shortest head that holds the share `p`.
fn shorten(tokens: &mut Kept, p: f64) {
    let total: f64 = tokens.iter().map(|token| token.1).sum();
    let mut sum = 0.0;
    let crossing = tokens.iter().position(|token| {
        sum += token.1;
        sum >= p * total
    });
    tokens.truncate(crossing.unwrap() + 1);
}

/// The token at `uniform`, in ascending id.
pub fn draw(kept: &Kept, uniform: f64) -> u32 {
    let mut sum = 0.0;
    let drawn = kept.iter().find(|token| {
        sum += token.1;
        uniform < sum
    });
    drawn.unwrap().0
}
