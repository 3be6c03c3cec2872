//! Templates that try to take memory, time or the stack: each is refused, none takes the process with it.

// The lints let a test panic, but not the helpers beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

use qwarp::Error;
use qwarp::limits::LIMITS;
use qwarp::tokenizer::SpecialTexts;
use qwarp::tokenizer::chat::{Chat, ChatTemplate, CivilTime};
use serde_json::{Map, Value, json};

fn render(source: &str, messages: &[Value]) -> Result<String, Error> {
    let template = ChatTemplate::new(source.to_string(), None, SpecialTexts::default())?;
    template.render(&Chat {
        messages,
        tools: None,
        add_generation_prompt: true,
        variables: &Map::new(),
        now: CivilTime::from_unix(0),
    })
}

/// The refusal of `source`, which must contain `part`.
fn refused(source: &str, part: &str) {
    let shown: String = source.chars().take(100).collect();
    match render(source, &[json!({ "role": "user", "content": "hello" })]) {
        Ok(text) => panic!("{shown}: rendered {} bytes", text.len()),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(part), "{shown}: {text}");
            assert!(
                text.len() < 2_000,
                "{shown}: an error of {} bytes",
                text.len()
            );
        }
    }
}

const WORK: &str = "bytes of work";
const FUEL: &str = "ran out of fuel";

#[test]
fn nesting_is_bounded() {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
    for n in [5_000, 50_000] {
        refused(&deep("{%if 1%}", "{%endif%}", n), "recursion");
        refused(
            &deep("{% for x in [1] %}", "{% endfor %}", n / 2),
            "recursion",
        );
    }
    refused(&format!("{{{{ {} }}}}", deep("(", ")", 1_000)), "recursion");
    refused(&format!("{{{{ {} }}}}", deep("[", "]", 1_000)), "recursion");
    refused(
        &format!("{{{{ {} }}}}", deep("not ", "", 65)),
        "`not` and `-` in a row",
    );
    refused(
        &format!("{{{{ {}1 }}}}", "- not ".repeat(33)),
        "`not` and `-` in a row",
    );
    refused(
        &format!("{{{{ x{} }}}}", " ~ x".repeat(300_000 / 2)),
        "tokens in one tag",
    );
    refused(
        &format!("{{{{ x{} }}}}", ".a".repeat(400_000)),
        "tokens in one tag",
    );
    refused(
        &format!("{{{{ x{} }}}}", "|e".repeat(400_000)),
        "tokens in one tag",
    );
    refused(
        &format!("{{{{ {}1 }}}}", "1 if 1 else ".repeat(20_000)),
        "tokens in one tag",
    );
}

#[test]
fn the_longest_chains_that_are_allowed_run() {
    let links = LIMITS.template_tag_tokens as usize / 2 - 2;
    let chain = format!("{{{{ 'a'{} }}}}", " ~ 'b'".repeat(links));
    assert_eq!(render(&chain, &[]).unwrap().len(), links + 1);
    let chain = format!("{{{{ ' a '{} }}}}", "|trim".repeat(links));
    assert_eq!(render(&chain, &[]).unwrap(), "a");
    let chain = format!("{{{{ {}true }}}}", "not ".repeat(64));
    assert_eq!(render(&chain, &[]).unwrap(), "True");
}

#[test]
fn recursion_is_bounded() {
    refused(
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "recursion limit",
    );
    refused(
        "{% macro f(n) %}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(1) }}",
        "recursion",
    );
    refused(
        "{% macro f() %}{{ caller() }}{% call f() %}x{% endcall %}{% endmacro %}{% call f() %}y{% endcall %}",
        "recursion",
    );
    refused(
        "{% set ns = namespace(x=[1]) %}{% for i in [[[1]]] recursive %}{{ loop([i]) }}{% endfor %}",
        "recursion",
    );
    refused("{% include 'chat_template' %}", "");
    refused("{% extends 'chat_template' %}", "");
    refused("{% block a %}{{ self.a() }}{% endblock %}", "");
}

#[test]
fn loops_run_out_of_steps() {
    let nest = |n: usize| {
        format!(
            "{}x{}",
            "{% for i in range(1000) %}".repeat(n),
            "{% endfor %}".repeat(n)
        )
    };
    // The steps end, or before them what the ranges take.
    refused(&nest(3), "");
    refused(
        "{% for i in range(100000) %}{% for j in 'abcdefghijklmnopqrstuvwxyz' %}{% if 0 %}{% endif %}{% endfor %}{% endfor %}",
        FUEL,
    );
    refused("{% for i in range(1000000000) %}{% endfor %}", WORK);
    refused(
        "{% for i in range(-9223372036854775808, 9223372036854775807) %}{% endfor %}",
        WORK,
    );
    refused("{{ range(0, 10, 0) }}", "step of 0");
    refused(
        "{% for i in range(9223372036854775807, -9223372036854775808, -1) %}{% endfor %}",
        "",
    );
}

#[test]
fn growth_is_bounded() {
    let looped = |step: &str| {
        format!(
            "{{% set ns = namespace(s='ab', l=[1]) %}}{{% for i in range(60) %}}{{% set ns.s = {step} %}}{{% endfor %}}{{{{ ns.s|length }}}}"
        )
    };
    for step in [
        "ns.s ~ ns.s",
        "ns.s + ns.s",
        "ns.s * 2",
        "2 * ns.s",
        "ns.s|replace('', ns.s)",
        "ns.s.replace('', ns.s)",
        "ns.s.replace('a', ns.s)",
        "[ns.s, ns.s]|join",
        "[ns.s, ns.s]|join(ns.s)",
        "ns.s.join(ns.s)",
        "ns.s|join(ns.s)",
        "ns.s|indent(ns.s|length, true)",
        "ns.s|indent(ns.s, true)",
        "[ns.s, ns.s]|tojson",
        "ns.s|list|string",
        "(ns.s, ns.s)|string",
        "([ns.s] * 100)|join",
        "ns.s|e|tojson|tojson",
    ] {
        refused(&looped(step), WORK);
    }
    refused(
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = x %}{% endfor %}",
        WORK,
    );
    refused(
        "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = m(ns.s) %}{% endfor %}",
        WORK,
    );
    refused(
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        WORK,
    );
    refused(
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}",
        "",
    );
    refused(
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = {'a': ns.l, 'b': ns.l} %}{% endfor %}",
        "",
    );
    refused(
        "{% set ns = namespace(l='a') %}{% for i in range(60) %}{% set ns.l = ns.l[:] ~ ns.l[::-1] %}{% endfor %}",
        WORK,
    );
    refused(
        "{% for i in range(100000) %}{{ 'abcdefghijklmnop' * 1000 }}{% endfor %}",
        WORK,
    );
}

#[test]
fn constants_are_bounded_before_they_are_computed() {
    for source in [
        "{{ 'A' * 1000000000 }}",
        "{{ 'A' * 100000000 }}",
        "{{ 100000000 * 'A' }}",
        "{{ ('A' ~ 'B') * 9999999 }}",
        "{{ 'A' * 9999 * 9999 }}",
        "{{ 'A' * (99999 + 99999) * 99 }}",
        "{{ ([1] * 100000000)|list }}",
        "{{ ['A' * 99999999, 'A' * 99999999] }}",
        "{{ 'A' * 99999999.0 }}",
        "{{ 'A' * 340282366920938463463374607431768211455 }}",
    ] {
        refused(source, "product of literals");
    }
    refused("{{ 'A' * 10 ** 9 }}", "power");
    refused("{% set n = 1000000000 %}{{ 'A' * n }}", WORK);
    refused("{% set n = 10 ** 9 %}{{ [0] * n }}", WORK);
    refused("{{ 'a\nb'|indent(1000000000) }}", WORK);
    refused("{{ [1]|tojson(indent=1000000000) }}", WORK);
    refused("{{ 2 ** 1000000 }}", "");
    refused(
        "{{ 9223372036854775807 * 9223372036854775807 * 9223372036854775807 }}",
        "",
    );
    refused("{{ '{:1000000000}'.format(1) }}", "method");
    refused("{{ '%1000000000d'|format(1) }}", "unknown");
}

#[test]
fn values_cannot_nest_or_loop_back() {
    let grown = |step: &str, end: &str| {
        format!(
            "{{% set ns = namespace(x=[]) %}}{{% for i in range(100000) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"
        )
    };
    for step in [
        "[ns.x]",
        "{'a': ns.x}",
        "(ns.x,)",
        "dict(a=ns.x)",
        "namespace(a=ns.x)",
        "[[[[ns.x]]]]",
    ] {
        refused(&grown(step, "{{ ns.x }}"), "nested over");
    }
    for end in [
        "{{ ns }}",
        "{{ ns|tojson }}",
        "{{ ns|string }}",
        "{{ ns ~ 'a' }}",
        "{{ [ns] }}",
        "{{ [ns]|join }}",
    ] {
        refused(
            &format!("{{% set ns = namespace() %}}{{% set ns.x = ns %}}{end}"),
            "",
        );
    }
    // Kept alive through views and loops rather than as elements: dropping them has to fit the stack.
    for step in [
        "ns.x[0:]",
        "ns.x|reverse",
        "ns.x|map('string')",
        "ns.x + [1]",
        "ns.x.keys()",
    ] {
        let _ = render(&grown(step, ""), &[]);
    }
    let loops = "{% set ns = namespace(x=0) %}".to_string()
        + &"{% for i in [ns.x] %}{% set ns.x = loop %}{% endfor %}".repeat(10_000);
    let _ = render(&loops, &[]);
    let closures = "{% set ns = namespace(x=0) %}{% for i in range(100000) %}{% set y = ns.x %}{% macro m() %}{{ y }}{% endmacro %}{% set ns.x = m %}{% endfor %}";
    let _ = render(closures, &[]);
}

#[test]
fn long_text_between_tags_is_counted() {
    let text = "x".repeat(100_000);
    refused(
        &format!("{{% set a %}}{{% for i in range(10000) %}}{text}{{% endfor %}}{{% endset %}}"),
        FUEL,
    );
    refused(
        &format!("{{% for i in range(10000) %}}{text}{{% endfor %}}"),
        FUEL,
    );
    refused(&"y".repeat(LIMITS.template_bytes as usize + 1), "bytes");
    assert_eq!(
        render(&format!("{text}{{{{ 1 }}}}"), &[]).unwrap().len(),
        100_001
    );
}

#[test]
fn output_is_bounded() {
    let content = "z".repeat(3 << 20);
    let messages = vec![json!({ "role": "user", "content": content }); 6];
    let error = render(
        "{% for m in messages %}{{ m.content }}{% endfor %}",
        &messages,
    )
    .unwrap_err();
    assert!(
        matches!(error, Error::Limit { limit, .. } if limit == LIMITS.rendered_bytes),
        "{error}"
    );
    let text = render(
        "{% for m in messages %}{{ m.content }}{% endfor %}",
        &messages[..5],
    )
    .unwrap();
    assert_eq!(text.len(), 15 << 20);
}

#[test]
fn strange_slices_and_numbers_do_not_panic() {
    for source in [
        "{{ 'abc'[0:2:-1] }}",
        "{{ 'abc'[9223372036854775807:] }}",
        "{{ 'abc'[-9223372036854775808:] }}",
        "{{ 'abc'[::9223372036854775807] }}",
        "{{ 'abc'[::-9223372036854775808] }}",
        "{{ [1,2][5:1:-3] }}",
        "{{ [][::-1] }}",
        "{{ -9223372036854775808 // -1 }}",
        "{{ -9223372036854775808 % -1 }}",
        "{{ 1e308 * 10 }}",
        "{{ (0 - 9223372036854775807 - 1)|abs }}",
        "{{ 1e400|int }}",
        "{{ messages|slice(0) }}",
        "{{ messages|batch(0) }}",
        "{{ 3.7|round(400) }}",
        "{{ 'a'|round }}",
        "{{ strftime_now('%Q %') }}",
        "{{ raise_exception() }}",
        "{{ namespace(1) }}",
        "{{ dict([1]) }}",
        "{{ [3, 'a', none, {}]|sort }}",
        "{{ messages[0][0] }}",
        "{{ messages[99999999999] }}",
    ] {
        if let Err(error) = render(source, &[json!({ "role": "user" })]) {
            assert!(
                !error.to_string().contains("engine failed"),
                "{source}: {error}"
            );
        }
    }
}

#[test]
fn deep_requests_are_refused() {
    let mut value = json!(1);
    for _ in 0..2_000 {
        value = json!([value]);
    }
    let message = json!({ "role": "user", "content": value });
    let error = render("{{ messages }}", &[message]).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}
