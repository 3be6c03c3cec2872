//! A device-to-device copy, 16 bytes a thread: what a kernel that only moves bytes can reach on this device.

use qwarp::driver::{Args, Driver, DriverError, Geometry, Image, In, Launch, Out, Result, Target};

use super::super::gpu_cases::{Device, Work};

const THREADS: u32 = 256;
/// Bytes that a thread copies.
const EACH: usize = 16;

const BODY: &str = "
.address_size 64
.visible .entry copy(.param .u64 from, .param .u64 to, .param .u32 items)
{
    .reg .pred %p<2>;
    .reg .b32 %r<10>;
    .reg .b64 %rd<8>;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.s32 %r4, %r1, %r2, %r3;
    ld.param.u32 %r5, [items];
    setp.ge.u32 %p1, %r4, %r5;
    @%p1 bra $L__done;
    ld.param.u64 %rd1, [from];
    ld.param.u64 %rd2, [to];
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.u32 %rd5, %r4, 16;
    add.s64 %rd6, %rd3, %rd5;
    add.s64 %rd7, %rd4, %rd5;
    ld.global.v4.u32 {%r6, %r7, %r8, %r9}, [%rd6];
    st.global.v4.u32 [%rd7], {%r6, %r7, %r8, %r9};
$L__done:
    ret;
}
";

/// A copy of `bytes` bytes, rounded up to what a thread takes.
pub fn copy(driver: &dyn Driver, device: &Device<'_>, bytes: usize) -> Result<Work<'static>> {
    let target = driver.facts().target;
    let version = match target {
        Target::Sm75 => "7.0",
        Target::Sm80 => "7.4",
        Target::Sm90 => "7.8",
    };
    let ptx = format!(".version {version}\n.target {target}{BODY}");
    let image = Image {
        name: "copy",
        target,
        ptx: &ptx,
        cubin: None,
    };
    let module = driver.load_module(&image)?;
    let function = driver.function(module, "copy")?;
    let function = function.ok_or(DriverError::Module {
        module: "copy".to_string(),
        reason: "no kernel named copy".to_string(),
    })?;
    let items = bytes.div_ceil(EACH);
    let mut args = Args::default();
    let from: In<u8> = In::new(device.alloc(items * EACH)?, items * EACH);
    driver.fill(from.ptr, 0x3c, items * EACH)?;
    let to: Out<u8> = device.output(items * EACH)?;
    args.input(from);
    args.output(to);
    args.scalar(items as u32);
    let geometry = Geometry {
        grid: [items.div_ceil(THREADS as usize) as u32, 1, 1],
        block: [THREADS, 1, 1],
        shared_bytes: 0,
    };
    Ok(Work {
        launches: vec![Launch {
            function,
            geometry,
            args,
        }],
        floor_bytes: 2 * items * EACH,
        outputs: Box::new(Vec::new),
    })
}
