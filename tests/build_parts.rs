//! The parts of build.rs without a compiler: what a kernel signature may be, what becomes of PTX, and what is generated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../build/mod.rs"]
mod parts;

use std::fs;
use std::path::{Path, PathBuf};

use parts::ptx::{PtxEntry, check, entries, lower_version, pin_rounding, relative_files};
use parts::resources::{Usage, usages};
use parts::signature::{Pass, Signature, signatures};
use parts::toolkit::{Places, parse_version};
use parts::{Input, includes};

/// A kernel with every kind of parameter.
const SCALE: &str = r#"
#include "common/a.cuh"
// extern "C" __global__ in a comment is none.
template <typename T> static __device__ void work(T* x) { asm("mov.b32 \"%0\";"); }
extern "C" __global__ void __launch_bounds__(128, 2) scale_f16(
    const float* __restrict__ x,     // (rows, n) [one], <two>
    const unsigned long long *ids,   // (rows)
    __half* __restrict__ out,        // (rows, n)
    int8_t* state,                   // inout (rows)
    uint32_t rows, unsigned int n,
    float eps,                       // below 1
    int shift
) {
    work(out);
}
#if __CUDA_ARCH__ >= 800
extern "C" __global__ void scale_bf16(__nv_bfloat16* out /* not read */, // (n)
    uint64_t n) { }
#endif
"#;

fn read(text: &str) -> Result<Vec<Signature>, String> {
    signatures("cuda/scale.cu", text)
}

#[test]
fn signatures_are_read_as_written() {
    let found = read(SCALE).unwrap();
    let [f16, bf16] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((f16.name.as_str(), f16.line), ("scale_f16", 5));
    assert_eq!((f16.launch_bounds, bf16.launch_bounds), (Some(128), None));
    let params: Vec<_> = f16
        .params
        .iter()
        .map(|p| (p.name.as_str(), p.pass, p.of.rust, p.comment.as_str()))
        .collect();
    let expected = [
        ("x", Pass::In, "f32", "(rows, n) [one], <two>"),
        ("ids", Pass::In, "u64", "(rows)"),
        ("out", Pass::Out, "half::f16", "(rows, n)"),
        ("state", Pass::InOut, "i8", "inout (rows)"),
        ("rows", Pass::Scalar, "u32", ""),
        ("n", Pass::Scalar, "u32", ""),
        ("eps", Pass::Scalar, "f32", "below 1"),
        ("shift", Pass::Scalar, "i32", ""),
    ];
    assert_eq!(params, expected);
    let types: Vec<_> = bf16.params.iter().map(|p| (p.pass, p.of.rust)).collect();
    assert_eq!(
        types,
        [(Pass::Out, "half::bf16"), (Pass::Scalar, "u64")],
        "the guarded kernel"
    );
}

#[test]
fn what_the_grammar_does_not_know_is_refused_with_its_place() {
    let kernel = |params: &str| format!("\nextern \"C\" __global__ void k({params}) {{ }}");
    let cases: [(String, &str); 19] = [
        ("int x;".into(), "cuda/scale.cu: no kernel"),
        (
            "__global__ void k(int n) {}".into(),
            ":1: found a kernel that is not extern \"C\"",
        ),
        (
            "extern \"C\" __global__ int k(int n) {}".into(),
            ":1: found `int`, expected `void`",
        ),
        (
            "extern \"C\" __global__ void __launch_bounds__(T) k(int n) {}".into(),
            "found `T`, expected a number",
        ),
        (
            "extern \"C\" __global__ void k(int n);".into(),
            "found `;`, expected `{`",
        ),
        (
            kernel("double* x"),
            ":2: found `double`, expected one of float, __half",
        ),
        (kernel("short n"), "found `short`"),
        (kernel("Shape shape"), "found `Shape`"),
        (kernel("uint8_t n"), "found `uint8_t` by value"),
        (kernel("const int n"), "found `int` by value"),
        (
            kernel("float** x"),
            "found `*`, expected a parameter's name",
        ),
        (kernel("float& x"), "found `&`"),
        (kernel("float* x"), "found no comment at `x`"),
        (
            kernel("float X"),
            "found `X`, expected a parameter's name, lower case",
        ),
        (kernel("float self"), "found `self`"),
        (kernel("float x = 1"), "found `=`, expected `)`"),
        (kernel("float x, int x"), "found a second parameter `x`"),
        (
            kernel("const float* x, // inout (n)\n int n"),
            "found `inout` at `x`",
        ),
        (
            kernel("float* x, float* y, // (n)\n int n"),
            ":2: a comment on a line with several parameters",
        ),
    ];
    for (text, expected) in cases {
        let error = read(&text).expect_err(&text);
        assert!(error.contains(expected), "{text}\n{error}");
        assert!(error.starts_with("cuda/scale.cu:"), "{error}");
    }
    let twice = format!("{}{}", kernel("int n"), kernel("int m"));
    assert!(read(&twice).unwrap_err().contains(":3: found a second `k`"));
    // A text cut anywhere is refused or read, never a panic.
    for end in (0..SCALE.len()).filter(|end| SCALE.is_char_boundary(*end)) {
        let _ = read(&SCALE[..end]);
    }
}

const PTX: &str = "// a comment
.version 9.0
.target sm_80
.visible .entry scale_f16(
\t.param .u64 scale_f16_param_0,
\t.param .u64 .ptr .global .align 16 scale_f16_param_1,
\t.param .align 8 .b8 scale_f16_param_2[24],
\t.param .f32 scale_f16_param_3
)
.maxntid 128, 1, 1
{
\t{ mul.f16 %rs1,%rs2,%rs3; }
\t@%p1 add.ftz.sat.f32 \t%f1, %f2, 0f3F800000;
\tsub.rn.f32 %f1, %f2, %f3; mul.wide.u32 %rd1, %r1, 4;
\tadd.s32 %r1, %r2, %r3; fma.rn.f32 %f1, %f2, %f3, %f4; add.rz.bf16x2 %r1, %r2, %r3;
\tred.global.add.f32 [%rd1], %f1;
}
.visible .entry none()
{
}
\t.file\t1 \"/home/me/repo/cuda/scale.cu\"
\t.file\t2 \"/home/me/repo2/cuda/x.cu\", 17, 3
\t.file\t3 \"/opt/cuda/bin/..//include/crt/include/cuda_fp16.hpp\"
\t.file\t4 \"/home/me/repo/.toolchain/bin/../include/crt/x.h\"
";

#[test]
fn ptx_states_the_floor_and_no_place_of_this_machine() {
    let lowered = lower_version(PTX, (7, 4)).unwrap();
    assert_eq!(lowered, PTX.replace(".version 9.0", ".version 7.4"));
    assert_eq!(
        lower_version(&lowered, (7, 8)).unwrap(),
        lowered,
        "never raised"
    );
    assert!(lower_version(".target sm_80\n", (7, 4)).is_err());
    assert!(lower_version(".version x\n", (7, 4)).is_err());
    let relative = relative_files(PTX, "/home/me/repo");
    let files: Vec<_> = relative.lines().filter(|l| l.contains(".file")).collect();
    let expected = [
        "\t.file\t1 \"cuda/scale.cu\"",
        "\t.file\t2 \"x.cu\", 17, 3",
        "\t.file\t3 \"cuda_fp16.hpp\"",
        "\t.file\t4 \"crt/x.h\"",
    ];
    assert_eq!(files, expected);
    assert_eq!(relative.lines().count(), PTX.lines().count());
}

#[test]
fn every_float_operation_names_its_rounding() {
    let pinned = pin_rounding(PTX);
    let changed: Vec<_> = pinned
        .lines()
        .zip(PTX.lines())
        .filter(|(a, b)| a != b)
        .collect();
    let expected = [
        (
            "\t{ mul.rn.f16 %rs1,%rs2,%rs3; }",
            "\t{ mul.f16 %rs1,%rs2,%rs3; }",
        ),
        (
            "\t@%p1 add.rn.ftz.sat.f32 \t%f1, %f2, 0f3F800000;",
            "\t@%p1 add.ftz.sat.f32 \t%f1, %f2, 0f3F800000;",
        ),
    ];
    assert_eq!(changed, expected);
    assert_eq!(pin_rounding(&pinned), pinned);
}

#[test]
fn a_parameter_list_that_is_not_the_signature_is_refused() {
    let found = entries(PTX).unwrap();
    let expected = PtxEntry {
        name: "scale_f16".to_string(),
        params: vec![(8, 8), (8, 8), (24, 8), (4, 4)],
    };
    assert_eq!(found[0], expected);
    assert_eq!((found[1].name.as_str(), found[1].params.len()), ("none", 0));
    assert!(entries(".entry k(\n .param .u64)\n{").is_err());

    let text = "extern \"C\" __global__ void k(float* x, // (n)\n uint64_t n, float eps) {}";
    let signature = &read(text).unwrap()[0];
    let against = |params: &[(u32, u32)]| {
        let (name, params) = ("k".to_string(), params.to_vec());
        check("cuda/scale.cu", signature, &PtxEntry { name, params })
    };
    assert_eq!(against(&[(8, 8), (8, 8), (4, 4)]), Ok(()));
    let refused = [
        (
            vec![(8, 8), (8, 8)],
            "the PTX has 2 parameters, the signature 3",
        ),
        (vec![(8, 8), (4, 4), (4, 4)], "parameter `n` has 4 bytes"),
        (
            vec![(8, 8), (8, 8), (4, 2)],
            "parameter `eps` has 4 bytes at a multiple of 2",
        ),
        (vec![(4, 4), (8, 8), (4, 4)], "parameter `x` has 4 bytes"),
    ];
    for (params, expected) in refused {
        let error = against(&params).unwrap_err();
        assert!(error.starts_with("cuda/scale.cu:1: k: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_log_of_ptxas_is_read() {
    let log = "ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a' for 'sm_80'
ptxas info    : Function properties for a
    40 bytes stack frame, 36 bytes spill stores, 44 bytes spill loads
ptxas info    : Used 255 registers, 4096 bytes smem, 376 bytes cmem[0]
ptxas info    : Compiling entry function 'b' for 'sm_80'
ptxas info    : Function properties for b
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 364 bytes cmem[0]
";
    let usage = |entry: &str, registers, shared_bytes, spill_bytes| Usage {
        entry: entry.to_string(),
        registers,
        shared_bytes,
        spill_bytes,
    };
    assert_eq!(
        usages(log).unwrap(),
        [usage("a", 255, 4096, 80), usage("b", 12, 0, 0)]
    );
    let silent = "ptxas info    : Compiling entry function 'a' for 'sm_80'\n";
    assert!(usages(silent).unwrap_err().contains("registers of a"));
    let version = "Cuda compilation tools, release 12.4, V12.4.131\nBuild x";
    assert_eq!(parse_version(version), Some((12, 4)));
    assert_eq!(parse_version("Vx.y"), None);
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_kernel_depends_on_the_headers_that_it_reaches() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        "cuda/k.cu",
        "#include <x>\n #  include \"common/a.cuh\"\n",
    );
    write(
        root.path(),
        "cuda/common/a.cuh",
        "#include \"b.cuh\"\n#include \"../common/a.cuh\"\n",
    );
    write(root.path(), "cuda/common/b.cuh", "// two\n");
    write(root.path(), "cuda/common/c.cuh", "// not reached\n");
    let found = includes::closure(&root.path().join("cuda/k.cu")).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|(path, _)| path.strip_prefix(root.path()).unwrap().to_path_buf())
        .collect();
    let expected = ["cuda/k.cu", "cuda/common/a.cuh", "cuda/common/b.cuh"];
    assert_eq!(names, expected.map(PathBuf::from));
    fs::remove_file(root.path().join("cuda/common/b.cuh")).unwrap();
    let error = includes::closure(&root.path().join("cuda/k.cu")).unwrap_err();
    assert!(error.contains("b.cuh: cannot read"), "{error}");
}

/// Builds `text` as cuda/scale.cu on a machine without nvcc; the generated Rust.
fn generated(text: &str) -> Result<String, String> {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "cuda/scale.cu", text);
    write(root.path(), "cuda/common/a.cuh", "");
    let output = parts::run(&Input {
        root: root.path().to_path_buf(),
        out: root.path().to_path_buf(),
        places: Places::default(),
        jobs: 2,
        wanted: true,
    })?;
    let missing = output.missing.clone().unwrap();
    assert!(missing.contains("run tools/get-nvcc"), "{missing}");
    assert!(output.warnings.is_empty());
    let error = format!("cargo::error={}=1, but {missing}", parts::REQUIRE);
    assert_eq!(output.lines(true).last(), Some(&error));
    let text = fs::read_to_string(root.path().join("kernels.rs")).unwrap();
    assert!(text.contains(&format!("MISSING: Option<&str> = Some({missing:?})")));
    Ok(text)
}

#[test]
fn without_a_compiler_the_stubs_are_there_and_say_what_is_missing() {
    let text = generated(SCALE).unwrap();
    assert!(
        text.contains("IMAGES: &[Image<'static>] = &[\n];"),
        "{text}"
    );
    let stub = "pub fn scale_f16(&self, geometry: Geometry, x: driver::In<f32>, ids: driver::In<u64>, \
        out: driver::Out<half::f16>, state: driver::InOut<i8>, rows: u32, n: u32, eps: f32, shift: i32)";
    assert!(text.contains(stub), "{text}");
    let body = "args.input(x);\n        args.input(ids);\n        args.output(out);\n        args.in_out(state);\n        \
        args.scalar(rows);\n        args.scalar(n);\n        args.scalar(eps);\n        args.scalar(shift);\n        \
        self.ready(0, geometry, args)";
    assert!(text.contains(body), "{text}");
    assert!(text.contains("self.ready(1, geometry, args)"));
    assert!(
        text.contains(r"/// - `x`: (rows, n) \[one\], \<two\>"),
        "{text}"
    );
}

/// A launch is a call of the stub, so an edited signature is a call that no longer compiles.
#[test]
fn an_edited_signature_is_another_stub() {
    let edits = [
        (
            "    int shift\n",
            "    int shift, int more\n",
            "shift: i32, more: i32)",
        ),
        ("    int shift\n", "    uint32_t shift\n", "shift: u32)"),
        (
            "const float* __restrict__ x",
            "const __half* __restrict__ x",
            "x: driver::In<half::f16>",
        ),
        (
            "const float* __restrict__ x",
            "float* __restrict__ x",
            "x: driver::Out<f32>",
        ),
        ("// inout (rows)", "// (rows)", "state: driver::Out<i8>"),
    ];
    let original = generated(SCALE).unwrap();
    for (from, to, expected) in edits {
        let edited = SCALE.replacen(from, to, 1);
        assert_ne!(edited, SCALE, "{from} is not in the text");
        let text = generated(&edited).unwrap();
        assert!(
            !original.contains(expected) && text.contains(expected),
            "{text}"
        );
    }
    assert!(
        generated("void f() {}")
            .unwrap_err()
            .contains("cuda/scale.cu: no kernel")
    );
}
