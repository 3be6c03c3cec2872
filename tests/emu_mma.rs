//! The emulator's tensor cores against vectors of `mmasim` (tools/make_mma_golden.py), bit for bit, and bytes against
//! the definition. Fragments are packed here element by element, by the PTX manual's own formulas.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use qwarp::driver::Target;
use qwarp::emu::Row;
use qwarp::emu::exec::mma::mma;
use qwarp::emu::op::MmaForm;
use qwarp::emu::ptx::Type;
use safetensors::{Dtype, SafeTensors};

/// A matrix as bits of its elements.
struct Matrix {
    columns: usize,
    bits: Vec<u32>,
}

impl Matrix {
    fn new(columns: usize, bits: Vec<u32>) -> Matrix {
        Matrix { columns, bits }
    }

    fn at(&self, (row, column): (usize, usize)) -> u32 {
        self.bits[row * self.columns + column]
    }
}

/// Row and column of element `i` of lane `lane`, as the manual's section on matrix fragments gives them.
type Place = fn(usize, usize) -> (usize, usize);

/// Places of A, B and of C and D.
fn places(form: MmaForm) -> [Place; 3] {
    let c: Place = |lane, i| (lane / 4 + 8 * usize::from(i >= 2), lane % 4 * 2 + (i & 1));
    match (form.shape.m, form.shape.k, form.d_type) {
        (16, 8, _) => [
            |lane, i| (lane / 4 + 8 * usize::from(i >= 2), lane % 4 * 2 + (i & 1)),
            |lane, i| (lane % 4 * 2 + i, lane / 4),
            c,
        ],
        (16, 16, Type::S32) => [
            |lane, i| (lane / 4 + 8 * usize::from(i >= 4), lane % 4 * 4 + (i & 3)),
            |lane, i| (lane % 4 * 4 + i, lane / 4),
            c,
        ],
        (16, 16, _) => [
            |lane, i| {
                let upper = i < 2 || (4..6).contains(&i);
                let column = lane % 4 * 2 + (i & 1) + 8 * usize::from(i >= 4);
                (lane / 4 + 8 * usize::from(!upper), column)
            },
            |lane, i| (lane % 4 * 2 + (i & 1) + 8 * usize::from(i >= 2), lane / 4),
            c,
        ],
        (16, 32, _) => [
            |lane, i| {
                let upper = i < 4 || (8..12).contains(&i);
                let column = lane % 4 * 4 + (i & 3) + 16 * usize::from(i >= 8);
                (lane / 4 + 8 * usize::from(!upper), column)
            },
            |lane, i| (lane % 4 * 4 + (i & 3) + 16 * usize::from(i >= 4), lane / 4),
            c,
        ],
        (8, 16, _) => [
            |lane, i| (lane / 4, lane % 4 * 4 + i),
            |lane, i| (lane % 4 * 4 + i, lane / 4),
            |lane, i| (lane / 4, lane % 4 * 2 + i),
        ],
        other => panic!("no layout for {other:?}"),
    }
}

/// A matrix in the registers of a warp: elements of a lane fill its registers from the low bits up.
fn pack(matrix: &Matrix, ty: Type, registers: usize, place: Place) -> Vec<Row> {
    let bits = 8 * ty.bytes();
    let each = 32 / bits as usize;
    let register = |r: usize, lane: usize| {
        (0..each).fold(0, |word, e| {
            word | matrix.at(place(lane, r * each + e)) << (e as u32 * bits)
        })
    };
    (0..registers)
        .map(|r| Row(std::array::from_fn(|lane| register(r, lane))))
        .collect()
}

/// `a * b + c` by the emulator, element by element as bits.
fn run(form: MmaForm, target: Target, [a, b, c]: [&Matrix; 3]) -> Vec<u32> {
    let [a_place, b_place, d_place] = places(form);
    let a = pack(a, form.a_type, form.a_registers(), a_place);
    let b = pack(b, form.b_type, form.b_registers(), b_place);
    let c = pack(c, form.d_type, form.d_registers(), d_place);
    let mut d = vec![Row::splat(0xdead_beef); form.d_registers()];
    mma(form, target, &a, &b, &c, &mut d);
    let bits = 8 * form.d_type.bytes();
    let each = 32 / bits as usize;
    let mut out = vec![u32::MAX; form.shape.m * form.shape.n];
    for (r, row) in d.iter().enumerate() {
        for (lane, word) in row.0.iter().enumerate() {
            for e in 0..each {
                let (i, j) = d_place(lane, r * each + e);
                let shifted = word >> (e as u32 * bits);
                out[i * form.shape.n + j] = shifted & (u32::MAX >> (32 - bits));
            }
        }
    }
    out
}

fn decode(opcode: &str, target: Target) -> Result<Option<MmaForm>, String> {
    let parts: Vec<String> = opcode.split('.').map(String::from).collect();
    MmaForm::decode(&parts, target)
}

/// The slices along a tensor's first axis.
fn tiles(file: &SafeTensors<'_>, name: &str) -> Vec<Matrix> {
    let tensor = file.tensor(name).unwrap();
    let bits: Vec<u32> = match tensor.dtype() {
        Dtype::U8 => tensor.data().iter().map(|&x| x.into()).collect(),
        Dtype::U16 => words::<2>(tensor.data(), |x| u16::from_le_bytes(x).into()),
        Dtype::U32 => words::<4>(tensor.data(), u32::from_le_bytes),
        other => panic!("{name} has type {other:?}"),
    };
    let shape = tensor.shape();
    let columns = shape[shape.len() - 1];
    bits.chunks_exact(bits.len() / shape[0])
        .map(|tile| Matrix::new(columns, tile.to_vec()))
        .collect()
}

fn words<const BYTES: usize>(data: &[u8], word: fn([u8; BYTES]) -> u32) -> Vec<u32> {
    let (chunks, rest) = data.as_chunks::<BYTES>();
    assert!(rest.is_empty());
    chunks.iter().map(|&chunk| word(chunk)).collect()
}

/// How many results of each kind a form's vectors hold.
#[derive(Debug, Default)]
struct Kinds {
    zero: usize,
    denormal: usize,
    infinite: usize,
    nan: usize,
    normal: usize,
}

impl Kinds {
    fn count(&mut self, bits: u32, ty: Type) {
        let (exponent, fraction) = match ty {
            Type::F16 => (bits >> 10 & 0x1f, bits & 0x3ff),
            _ => (bits >> 23 & 0xff, bits & 0x7f_ffff),
        };
        let largest = if ty == Type::F16 { 0x1f } else { 0xff };
        let kind = match (exponent, fraction) {
            (0, 0) => &mut self.zero,
            (0, _) => &mut self.denormal,
            (e, 0) if e == largest => &mut self.infinite,
            (e, _) if e == largest => &mut self.nan,
            _ => &mut self.normal,
        };
        *kind += 1;
    }
}

/// Compares one file; gives the outputs compared.
fn compare(name: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/mma")
        .join(format!("{name}.safetensors"));
    let data = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&data).unwrap();
    let [a, b, c, cases] = ["a", "b", "c", "cases"].map(|part| tiles(&file, part));
    let opcode = format!("mma.sync.aligned.{}", name.replacen('.', ".row.col.", 1));
    let mut compared = 0;
    let mut results = Vec::new();
    for target in Target::ALL {
        let stored = format!("d_sm{}", target.number());
        if !file.names().iter().any(|tensor| **tensor == stored) {
            decode(&opcode, target).unwrap_err();
            continue;
        }
        let form = decode(&opcode, target).unwrap().unwrap();
        assert_eq!(form.to_string(), opcode);
        let mut kinds = Kinds::default();
        let expected = tiles(&file, &stored);
        assert_eq!(expected.len(), cases.len());
        for (case, expect) in cases.iter().zip(&expected) {
            let [i, j, l] = [0, 1, 2].map(|part| case.bits[part] as usize);
            let found = run(form, target, [&a[i], &b[j], &c[l]]);
            for (at, (&found, &expect)) in found.iter().zip(&expect.bits).enumerate() {
                assert_eq!(
                    found, expect,
                    "{form} on {target}, a {i} b {j} c {l}, element {at}: {found:#x} is not {expect:#x}"
                );
                kinds.count(expect, form.d_type);
            }
            compared += found.len();
        }
        let Kinds {
            zero,
            denormal,
            infinite,
            nan,
            normal,
        } = kinds;
        assert!(
            zero > 100 && denormal > 20 && infinite > 50 && nan > 30 && normal > 5000,
            "{form} on {target}: {kinds:?}"
        );
        results.push(
            expected
                .into_iter()
                .flat_map(|tile| tile.bits)
                .collect::<Vec<u32>>(),
        );
    }
    assert!(compared >= 10_000 * results.len());
    // The generations must differ where they should, or the vectors could not tell them apart.
    let (first, last) = (&results[0], &results[results.len() - 1]);
    let different = first.iter().zip(last).filter(|(x, y)| x != y).count();
    assert!(
        different > 50,
        "{name}: {different} differ between generations"
    );
    compared
}

#[test]
fn f16_sums_are_those_of_hardware() {
    let forms = ["m16n8k8.f32.f16.f16.f32", "m16n8k16.f32.f16.f16.f32"];
    assert_eq!(forms.map(compare), [3 * 10_752, 2 * 10_752]);
}

#[test]
fn f16_accumulators_round_as_hardware_does() {
    let forms = ["m16n8k8.f16.f16.f16.f16", "m16n8k16.f16.f16.f16.f16"];
    assert_eq!(forms.map(compare), [3 * 10_752, 2 * 10_752]);
}

#[test]
fn bf16_sums_are_those_of_hardware() {
    let forms = ["m16n8k8.f32.bf16.bf16.f32", "m16n8k16.f32.bf16.bf16.f32"];
    assert_eq!(forms.map(compare), [2 * 10_752; 2]);
}

/// Random bits from a fixed seed.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (self.0 >> 32) as u32
    }

    fn matrix(&mut self, rows: usize, columns: usize, mask: u32) -> Matrix {
        Matrix::new(
            columns,
            (0..rows * columns).map(|_| self.next() & mask).collect(),
        )
    }
}

/// A byte as a number.
fn value(bits: u32, ty: Type) -> i64 {
    match ty {
        Type::S8 => i64::from(bits as u8 as i8),
        Type::U8 => i64::from(bits as u8),
        other => panic!("{other}"),
    }
}

#[test]
fn bytes_are_summed_exactly_then_wrapped_or_clamped() {
    let mut draw = Draw(7);
    let forms = MmaForm::all(Target::Sm80);
    let forms: Vec<_> = forms.iter().filter(|f| f.d_type == Type::S32).collect();
    assert_eq!(forms.len(), 3 * 4 * 2);
    for &&form in &forms {
        let (mut compared, mut beyond) = (0, 0);
        for round in 0..160 {
            let (m, k) = (form.shape.m, form.shape.k);
            let a = draw.matrix(m, k, 0xff);
            let b = draw.matrix(k, 8, 0xff);
            let mut c = draw.matrix(m, 8, 0xffff_ffff);
            // Half the rounds stand at the ends of the range, where results leave it.
            if round % 2 == 0 {
                c.bits.iter_mut().for_each(|x| {
                    *x = if *x & 1 == 0 {
                        0x8000_0010
                    } else {
                        0x7fff_fff0
                    }
                });
            }
            let found = run(form, Target::Sm80, [&a, &b, &c]);
            for (at, &found) in found.iter().enumerate() {
                let (i, j) = (at / 8, at % 8);
                let products = (0..k)
                    .map(|x| value(a.at((i, x)), form.a_type) * value(b.at((x, j)), form.b_type));
                let sum = i64::from(c.at((i, j)) as i32) + products.sum::<i64>();
                let clamped = sum.clamp(i32::MIN.into(), i32::MAX.into());
                beyond += usize::from(sum != clamped);
                let expect = if form.saturate { clamped } else { sum } as u32;
                assert_eq!(found, expect, "{form}, row {i}, column {j}");
            }
            compared += found.len();
        }
        assert!(
            compared >= 10_000 && beyond > 1000,
            "{form}: {compared}, {beyond} beyond"
        );
    }
}

#[test]
fn every_form_decodes_from_its_name() {
    let counts = Target::ALL.map(|target| {
        let forms = MmaForm::all(target);
        for form in &forms {
            assert_eq!(decode(&form.to_string(), target), Ok(Some(*form)));
        }
        forms.len()
    });
    // m16n8k8 with two results and m8n8k16 with four mixes, clamped or not; from sm_80 eight more of each kind of byte.
    assert_eq!(counts, [2 + 8, 6 + 24, 6 + 24]);
    assert_eq!(decode("mad.lo.s32", Target::Sm90), Ok(None));
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let refusals = [
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
            Target::Sm75,
            "needs sm_80",
        ),
        (
            "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32",
            Target::Sm75,
            "needs sm_80",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32",
            Target::Sm75,
            "needs sm_80",
        ),
        (
            "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32",
            Target::Sm90,
            "shape m8n8k4",
        ),
        (
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
            Target::Sm90,
            "types f32.tf32",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32",
            Target::Sm90,
            "f16.bf16",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f16",
            Target::Sm90,
            "f32.f16.f16.f16",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.f16.bf16.bf16.f16",
            Target::Sm90,
            "f16.bf16",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.satfinite.f32.f16.f16.f32",
            Target::Sm90,
            "satfinite",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16",
            Target::Sm90,
            "3 types",
        ),
        (
            "mma.sync.aligned.m16n8k16.col.col.f32.f16.f16.f32",
            Target::Sm90,
            "modelled is",
        ),
        (
            "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
            Target::Sm90,
            "modelled is",
        ),
    ];
    for (opcode, target, part) in refusals {
        let error = decode(opcode, target).unwrap_err();
        assert!(error.starts_with(opcode), "{error}");
        assert!(error[opcode.len()..].contains(part), "{error}");
    }
}
