//! Runs a Jinja template from a model folder as transformers runs it, within bounds.
//!
//! minijinja counts instructions, which bounds neither memory nor the work of one instruction: a few dozen string
//! doublings fill any machine. So every operation that reads or makes values of any size goes through a budget:
//! filters, tests, methods and functions are wrapped, and the operators of the compiled template are replaced by
//! filters of ours before it runs. What the compiler itself computes is bounded by looking at the tokens first.
//!
//! Known to differ from Python: a text inside a printed list or map shows unprintable characters as they are, and
//! floats that are printed without `tojson` never have an exponent.

mod budget;
pub(crate) mod clock;
mod filters;
mod functions;
mod json;
mod methods;
mod operators;
mod slice;
mod vet;

use std::sync::Arc;

use minijinja::machinery::{
    CompiledTemplate, Instructions, TemplateConfig, eval, make_string_output,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Value};

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits};
use budget::Budget;
pub use clock::CivilTime;

/// Stack of the thread that renders. Values can nest as deep as steps allow, and dropping them recurses; memory is
/// only used as far as the stack is.
const STACK_BYTES: usize = 256 << 20;

/// Checks that `source` compiles.
pub(crate) fn check(source: &str) -> Result<()> {
    on_own_stack(|| {
        vet::vet(source, &syntax()?)?;
        compile(source).map(|_| ())
    })
}

/// Renders `source` with the variables in `context`.
pub(crate) fn render(source: &str, context: &serde_json::Value, now: CivilTime) -> Result<String> {
    let text = on_own_stack(|| {
        let longest_raw = vet::vet(source, &syntax()?)?;
        let budget = Arc::new(Budget::new());
        let mut compiled = compile(source)?;
        operators::replace(&mut compiled.instructions);
        for block in compiled.blocks.values_mut() {
            operators::replace(block);
        }
        let mut env = environment(&budget, now);
        // Text between tags is written by single steps that no hook sees, so the steps are cut to fit.
        env.set_fuel(Some(
            LIMITS
                .template_fuel
                .min(LIMITS.template_work / longest_raw.max(1)),
        ));
        run(&env, &compiled, budget::from_json(context)?)
    })?;
    Limits::check(
        "chat template: rendered bytes",
        text.len() as u64,
        LIMITS.rendered_bytes,
    )?;
    Ok(text)
}

fn run(env: &Environment, compiled: &CompiledTemplate, root: Value) -> Result<String> {
    let mut text = String::new();
    let mut output = make_string_output(&mut text);
    let (instructions, blocks): (&Instructions, _) = (&compiled.instructions, &compiled.blocks);
    let result = eval(
        env,
        instructions,
        root,
        blocks,
        &mut output,
        AutoEscape::None,
    );
    result.map(|_| ()).map_err(failed)?;
    drop(output);
    Ok(text)
}

fn syntax() -> Result<SyntaxConfig> {
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(true).lstrip_blocks(true);
    builder.build().map_err(failed)
}

fn compile(source: &str) -> Result<CompiledTemplate<'_>> {
    let config = TemplateConfig {
        syntax_config: syntax()?,
        default_auto_escape: Arc::new(|_| AutoEscape::None),
    };
    CompiledTemplate::new("chat_template", source, &config).map_err(failed)
}

/// An environment with nothing in it but what a budget watches over.
fn environment(budget: &Arc<Budget>, now: CivilTime) -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_debug(false);
    filters::add(&mut env, budget);
    functions::add(&mut env, budget, now);
    methods::add(&mut env, budget);
    operators::add(&mut env, budget);
    env
}

fn failed(error: minijinja::Error) -> Error {
    Error::Template(error.to_string())
}

/// A stack of known size, and an end for a panic inside the template engine other than the end of the caller.
fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("chat template".into())
            .stack_size(STACK_BYTES);
        let handle = thread
            .spawn_scoped(scope, work)
            .map_err(|e| Error::Template(format!("cannot start a thread: {e}")))?;
        handle
            .join()
            .unwrap_or_else(|_| Err(Error::Template("the template engine failed".into())))
    })
}
