//! What the operations need of a device: its kernels, compiled when first used, cuBLAS, memory.

use super::buf::CudaBuf;
use super::error::Error;
use super::grid::Grid;
use super::real::{CudaReal, Precision};
use super::source::{self, Arg, Kind};
use cudarc::cublas::{CudaBlas, result as cublas, sys::cublasGemmAlgo_t, sys::cublasOperation_t};
use cudarc::driver::sys::{self, CUdeviceptr, CUfunction, CUmodule, CUresult};
use cudarc::driver::{CudaDevice, DriverError, result};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, c_int, c_void};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A matrix in memory, row by row: where it starts, elements from row to row, whether it is read
/// transposed, and elements from one matrix to the next of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    pub(super) at: CUdeviceptr,
    pub(super) pitch: usize,
    pub(super) transposed: bool,
    pub(super) step: usize,
}

/// `c = alpha * a b`, or `c += alpha * a b` if `add`: `rows` x `columns` of sums of `inner` products,
/// for each of `batch`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) inner: usize,
    pub(super) a: Matrix,
    pub(super) b: Matrix,
    pub(super) c: Matrix,
    pub(super) alpha: f64,
    pub(super) add: bool,
    pub(super) batch: usize,
}

/// The kernels of one element type.
struct Module {
    functions: BTreeMap<&'static str, (CUfunction, Vec<Kind>)>,
}

// SAFETY: functions of a module are handles of the device's context, which the driver lets any
// thread use that has bound the context; a module is never unloaded.
unsafe impl Send for Module {}
// SAFETY: as above; the map is not changed after it was made.
unsafe impl Sync for Module {}

/// A function of a source that was written for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function(CUfunction);

// SAFETY: as for `Module`.
unsafe impl Send for Function {}

fn function(module: CUmodule, name: &str) -> Result<CUfunction, Error> {
    let name = CString::new(name).map_err(|error| Error::Kernels(error.to_string()))?;
    // SAFETY: the module is loaded and never unloaded.
    Ok(unsafe { result::module::get_function(module, name) }?)
}

/// A device's kernels, cuBLAS handle and settings. One for each ordinal and process: it uses the same
/// primary context and the same (default) stream as others who open that ordinal, so their kernels and these run
/// one after the other.
pub(super) struct Gpu {
    pub(super) device: Arc<CudaDevice>,
    blas: CudaBlas,
    precision: AtomicU8,
    /// Whether there are tensor cores for TF32 and bfloat16: from compute capability 8.0 on.
    tensor_cores: bool,
    modules: [OnceLock<Module>; 2],
    compiling: Mutex<()>,
    /// The functions of sources that were written for loops.
    written: Mutex<HashMap<String, Vec<Function>>>,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.device.ordinal())
    }
}

static GPUS: Mutex<BTreeMap<usize, Arc<Gpu>>> = Mutex::new(BTreeMap::new());

impl Gpu {
    /// That with this index, from 0.
    pub(super) fn of_ordinal(ordinal: usize) -> Result<Arc<Gpu>, Error> {
        let mut engines = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = engines.get(&ordinal) {
            return Ok(gpu.clone());
        }
        let gpu = Arc::new(Self::new(ordinal)?);
        engines.insert(ordinal, gpu.clone());
        Ok(gpu)
    }

    fn new(ordinal: usize) -> Result<Self, Error> {
        let device = CudaDevice::new(ordinal)?;
        keep_freed_memory(&device)?;
        let blas = CudaBlas::new(device.clone())?;
        let major = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
        let tensor_cores = device.attribute(major)? >= 8;
        Ok(Self {
            device,
            blas,
            precision: AtomicU8::new(Precision::Full as u8),
            tensor_cores,
            modules: [OnceLock::new(), OnceLock::new()],
            compiling: Mutex::new(()),
            written: Mutex::default(),
        })
    }

    pub(super) fn precision(&self) -> Precision {
        Precision::from_bits(self.precision.load(Ordering::Relaxed))
    }

    pub(super) fn set_precision(&self, precision: Precision) {
        self.precision.store(precision as u8, Ordering::Relaxed);
    }

    /// Whether products of `E` may be rounded to TF32 or bfloat16.
    pub(super) fn has_tensor_cores<E: CudaReal>(&self) -> bool {
        self.tensor_cores && E::TENSOR_CORES
    }

    /// A buffer whose values are still to be written.
    pub(super) fn scratch<E: CudaReal>(self: &Arc<Self>, len: usize) -> Result<CudaBuf<E>, Error> {
        // SAFETY: all kernels that get such a buffer write all of it before anything reads it.
        let slice = unsafe { self.device.alloc::<E>(len) }?;
        Ok(CudaBuf::new(slice, self.clone()))
    }

    pub(super) fn zeros<E: CudaReal>(self: &Arc<Self>, len: usize) -> Result<CudaBuf<E>, Error> {
        let slice = self.device.alloc_zeros::<E>(len)?;
        Ok(CudaBuf::new(slice, self.clone()))
    }

    /// Compiles the kernels for `E`, if that has not been done.
    pub(super) fn prepare<E: CudaReal>(&self) -> Result<(), Error> {
        self.module::<E>().map(|_| ())
    }

    fn module<E: CudaReal>(&self) -> Result<&Module, Error> {
        let slot = &self.modules[E::SLOT];
        if let Some(module) = slot.get() {
            return Ok(module);
        }
        let _one_at_a_time = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.get().is_none() {
            let module = self.compile(E::NAME)?;
            return Ok(slot.get_or_init(|| module));
        }
        slot.get().ok_or_else(|| Error::Kernels(String::new()))
    }

    fn compile(&self, real: &str) -> Result<Module, Error> {
        let module = self.load(source::text(real))?;
        let mut functions = BTreeMap::new();
        for (name, kinds) in source::signatures() {
            functions.insert(name, (function(module, name)?, kinds));
        }
        Ok(Module { functions })
    }

    /// Compiles a source and loads it, for the rest of the process.
    fn load(&self, source: String) -> Result<CUmodule, Error> {
        let options = CompileOptions {
            arch: Some(self.architecture()?),
            ..Default::default()
        };
        let ptx = compile_ptx_with_opts(source, options).map_err(|error| {
            Error::Kernels(match error {
                CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
                other => other.to_string(),
            })
        })?;
        let ptx = CString::new(ptx.to_src()).map_err(|error| Error::Kernels(error.to_string()))?;
        self.device.bind_to_thread()?;
        // SAFETY: the text ends with a zero byte, and the context is bound.
        Ok(unsafe { result::module::load_data(ptx.as_ptr().cast()) }?)
    }

    /// The functions of these names of a source, which is compiled when it is first asked for.
    pub(super) fn functions<const N: usize>(&self, source: String, names: [&str; N]) -> Result<[Function; N], Error> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match written.get(&source) {
            Some(found) => found,
            None => {
                let module = self.load(source.clone())?;
                let functions = names.map(|name| function(module, name).map(Function));
                let functions = functions.into_iter().collect::<Result<Vec<_>, _>>()?;
                written.entry(source).or_insert(functions)
            }
        };
        found
            .as_slice()
            .try_into()
            .map_err(|_| DriverError(CUresult::CUDA_ERROR_NOT_FOUND).into())
    }

    /// Runs a function on as many threads as there are elements.
    ///
    /// # Safety
    /// The arguments must be those of the function, and buffers as long as it reads and writes.
    pub(super) unsafe fn run<E>(&self, function: Function, elements: usize, args: &[Arg<E>]) -> Result<(), Error> {
        let grid = Grid::flat(elements);
        let mut parameters: Vec<*mut c_void> = args.iter().map(Arg::pointer).collect();
        let [blocks, threads] = [grid.blocks, grid.threads].map(|[x, y, z]| (x as u32, y as u32, z as u32));
        self.device.bind_to_thread()?;
        // SAFETY: the caller's promise; buffers are freed on the same stream, so after the kernel has run.
        unsafe {
            result::launch_kernel(
                function.0,
                blocks,
                threads,
                0,
                *self.device.cu_stream(),
                &mut parameters,
            )
        }?;
        Ok(())
    }

    /// The greatest architecture that both this GPU and every nvrtc from CUDA 12 on know: the driver
    /// compiles PTX for a greater one itself.
    fn architecture(&self) -> Result<&'static str, DriverError> {
        use sys::CUdevice_attribute_enum as Attribute;
        let major = self
            .device
            .attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = self
            .device
            .attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(match (major, minor) {
            (..=6, _) | (7, ..=4) => "compute_60",
            (7, _) => "compute_75",
            (8, ..=5) => "compute_80",
            (8, 6..=8) => "compute_86",
            (8, _) => "compute_89",
            _ => "compute_90",
        })
    }

    /// Runs a kernel. `args` are those of its signature, which is checked where assertions are.
    pub(super) fn launch<E: CudaReal>(&self, name: &'static str, grid: Grid, args: &[Arg<E>]) -> Result<(), Error> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        let module = self.module::<E>()?;
        let Some((function, kinds)) = module.functions.get(name) else {
            return Err(DriverError(CUresult::CUDA_ERROR_NOT_FOUND).into());
        };
        debug_assert!(
            kinds.iter().copied().eq(args.iter().map(Arg::kind)),
            "{name} wants {kinds:?}"
        );
        let mut parameters: Vec<*mut c_void> = args.iter().map(Arg::pointer).collect();
        let [blocks, threads] = [grid.blocks, grid.threads].map(|[x, y, z]| (x as u32, y as u32, z as u32));
        self.device.bind_to_thread()?;
        // SAFETY: the arguments have the kernel's types; buffers live until the kernel has run, since
        // freeing them is an operation of the same stream; the callers pass sizes within the buffers.
        unsafe { result::launch_kernel(*function, blocks, threads, 0, *self.device.cu_stream(), &mut parameters) }?;
        Ok(())
    }

    /// A product of matrices by cuBLAS.
    pub(super) fn product<E: CudaReal>(&self, product: Product) -> Result<(), Error> {
        let Product { a, b, c, .. } = product;
        if product.rows * product.columns * product.batch == 0 {
            return Ok(());
        }
        let int = |value: usize| c_int::try_from(value).map_err(|_| too_large());
        let transposed = |matrix: Matrix| match matrix.transposed {
            true => cublasOperation_t::CUBLAS_OP_T,
            false => cublasOperation_t::CUBLAS_OP_N,
        };
        let (alpha, beta) = (E::of(product.alpha), E::of(if product.add { 1.0 } else { 0.0 }));
        self.device.bind_to_thread()?;
        // SAFETY: the callers pass matrices within their buffers. cuBLAS counts by columns, so it is
        // given the transposed product: c' = b' a'. Scalars have the compute type's size.
        unsafe {
            cublas::gemm_strided_batched_ex(
                *self.blas.handle(),
                transposed(b),
                transposed(a),
                int(product.columns)?,
                int(product.rows)?,
                int(product.inner)?,
                (&raw const alpha).cast(),
                b.at as *const c_void,
                E::DATA_TYPE,
                int(b.pitch)?,
                b.step as i64,
                a.at as *const c_void,
                E::DATA_TYPE,
                int(a.pitch)?,
                a.step as i64,
                (&raw const beta).cast(),
                c.at as *mut c_void,
                E::DATA_TYPE,
                int(c.pitch)?,
                c.step as i64,
                int(product.batch)?,
                E::compute_type(self.precision()),
                cublasGemmAlgo_t::CUBLAS_GEMM_DFALT,
            )
        }?;
        Ok(())
    }
}

/// The error for sizes beyond what a kernel counts.
pub(super) fn too_large() -> Error {
    DriverError(CUresult::CUDA_ERROR_INVALID_VALUE).into()
}

/// Lets the driver's memory pool keep what is freed: by default it would go back to the system at
/// every synchronisation, and be mapped anew in every step.
fn keep_freed_memory(device: &Arc<CudaDevice>) -> Result<(), DriverError> {
    let pools = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    if device.attribute(pools)? == 0 {
        return Ok(());
    }
    let (mut pool, mut threshold) = (std::ptr::null_mut(), u64::MAX);
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: both places are valid for what the driver writes and reads.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, *device.cu_device()).result()?;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut threshold).cast()).result()
    }
}
