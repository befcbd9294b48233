//! The built module under the knife: callbacks wrapped, helpers added.

use std::path::{Path, PathBuf};

use walrus::ir::{BinaryOp, LoadKind, MemArg, StoreKind, Value};
use walrus::{
    ConstExpr, ExportItem, FunctionBuilder, FunctionId, GlobalId, InstrSeqBuilder, LocalId, MemoryId, Module, ValType,
};

use crate::support::proxy::module_path;

/// Offsets in the page of its own: a result of a hostcall, a time, where bytes are and how many, a text, and bytes that the host writes.
const RESULT: i32 = 0;
const TIME: i32 = 8;
const DATA: i32 = 16;
const SIZE: i32 = 20;
const TEXT: i32 = 64;
const BYTES: i32 = 1024;

/// A module that is being changed.
#[derive(Debug)]
pub(super) struct Surgery {
    module: Module,
    memory: MemoryId,
    /// Where a page of its own is; makes it at the first call.
    at: FunctionId,
    /// Whether memory that the host asks for comes from the page.
    lends: Option<GlobalId>,
}

/// What a wrapper's body may need of the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of {
    memory: MemoryId,
}

impl Of {
    /// Loads the 32 bits at an address that a function says.
    pub(super) fn load_i32(self, body: &mut InstrSeqBuilder<'_>, address: FunctionId) {
        body.call(address).load(self.memory, LoadKind::I32 { atomic: false }, MemArg { align: 4, offset: 0 });
    }
}

fn at_offset(offset: i32) -> MemArg {
    MemArg { align: 1, offset: offset as u64 }
}

impl Surgery {
    pub(super) fn new() -> Self {
        let mut module = Module::from_file(module_path()).unwrap();
        let memory = module.memories.iter().next().unwrap().id();
        let page = module.globals.add_local(ValType::I32, true, false, ConstExpr::Value(Value::I32(0)));
        let mut at = FunctionBuilder::new(&mut module.types, &[], &[ValType::I32]);
        at.func_body()
            .global_get(page)
            .if_else(
                None,
                |_| {},
                |first| {
                    first.i32_const(1).memory_grow(memory).i32_const(16).binop(BinaryOp::I32Shl).global_set(page);
                },
            )
            .global_get(page);
        let at = at.finish(Vec::new(), &mut module.funcs);
        Self { module, memory, at, lends: None }
    }

    pub(super) fn save(mut self, folder: &Path, name: &str) -> PathBuf {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = folder.join(format!("{}.wasm", name.to_lowercase()));
        self.module.emit_wasm_file(&path).unwrap();
        path
    }

    /// A hostcall that returns a status, imported where the module does not have it.
    pub(super) fn hostcall(&mut self, name: &str, parameters: &[ValType]) -> FunctionId {
        match self.module.imports.get_func("env", name) {
            Ok(function) => function,
            Err(_) => {
                let of = self.module.types.add(parameters, &[ValType::I32]);
                self.module.add_import_func("env", name, of).0
            }
        }
    }

    /// A number that begins at 0.
    pub(super) fn counter(&mut self) -> GlobalId {
        self.module.globals.add_local(ValType::I32, true, false, ConstExpr::Value(Value::I32(0)))
    }

    fn exported(&self, name: &str) -> (walrus::ExportId, FunctionId) {
        let export = self.module.exports.iter().find(|export| export.name == name).unwrap();
        let ExportItem::Function(original) = export.item else { unreachable!() };
        (export.id(), original)
    }

    /// Does something before a callback.
    pub(super) fn before(
        &mut self,
        export: &str,
        parameters: &[ValType],
        results: &[ValType],
        what: impl FnOnce(&mut InstrSeqBuilder<'_>, Of),
    ) {
        let (export, original) = self.exported(export);
        let arguments: Vec<LocalId> = parameters.iter().map(|of| self.module.locals.add(*of)).collect();
        let mut wrapper = FunctionBuilder::new(&mut self.module.types, parameters, results);
        let mut body = wrapper.func_body();
        what(&mut body, Of { memory: self.memory });
        for argument in &arguments {
            body.local_get(*argument);
        }
        body.call(original);
        let wrapper = wrapper.finish(arguments, &mut self.module.funcs);
        self.module.exports.get_mut(export).item = ExportItem::Function(wrapper);
    }

    /// Does something after a callback, which may change what it returns.
    pub(super) fn after(
        &mut self,
        export: &str,
        parameters: &[ValType],
        result: ValType,
        what: impl FnOnce(&mut InstrSeqBuilder<'_>, LocalId),
    ) {
        let (export, original) = self.exported(export);
        let arguments: Vec<LocalId> = parameters.iter().map(|of| self.module.locals.add(*of)).collect();
        let returned = self.module.locals.add(result);
        let mut wrapper = FunctionBuilder::new(&mut self.module.types, parameters, &[result]);
        let mut body = wrapper.func_body();
        for argument in &arguments {
            body.local_get(*argument);
        }
        body.call(original).local_set(returned);
        what(&mut body, returned);
        body.local_get(returned);
        let wrapper = wrapper.finish(arguments, &mut self.module.funcs);
        self.module.exports.get_mut(export).item = ExportItem::Function(wrapper);
    }

    /// `() -> i64`: nanoseconds of the wall clock.
    fn now(&mut self) -> FunctionId {
        let clock = self.hostcall("proxy_get_current_time_nanoseconds", &[ValType::I32]);
        let mut now = FunctionBuilder::new(&mut self.module.types, &[], &[ValType::I64]);
        now.func_body().call(self.at).i32_const(TIME).binop(BinaryOp::I32Add).call(clock).drop().call(self.at).load(
            self.memory,
            LoadKind::I64 { atomic: false },
            at_offset(TIME),
        );
        now.finish(Vec::new(), &mut self.module.funcs)
    }

    /// `(one_in: i64) -> i32`: true by chance once in so many times; the chance is in the microsecond.
    pub(super) fn chance(&mut self) -> FunctionId {
        let now = self.now();
        let one_in = self.module.locals.add(ValType::I64);
        let mut chance = FunctionBuilder::new(&mut self.module.types, &[ValType::I64], &[ValType::I32]);
        let mut body = chance.func_body();
        body.call(now).i64_const(1_000).binop(BinaryOp::I64DivU).local_get(one_in).binop(BinaryOp::I64RemU);
        body.i64_const(0).binop(BinaryOp::I64Eq);
        chance.finish(vec![one_in], &mut self.module.funcs)
    }

    /// `(us: i64)`: waits so many microseconds, and holds the worker meanwhile.
    pub(super) fn wait(&mut self) -> FunctionId {
        let now = self.now();
        let (us, until) = (self.module.locals.add(ValType::I64), self.module.locals.add(ValType::I64));
        let mut wait = FunctionBuilder::new(&mut self.module.types, &[ValType::I64], &[]);
        let mut body = wait.func_body();
        body.local_get(us).i64_const(1_000).binop(BinaryOp::I64Mul).call(now).binop(BinaryOp::I64Add).local_set(until);
        body.loop_(None, |round| {
            let again = round.id();
            round.call(now).local_get(until).binop(BinaryOp::I64LtU).br_if(again);
        });
        wait.finish(vec![us], &mut self.module.funcs)
    }

    /// `(rounds: i32)`: keeps the processor busy. The result stays in a global, so that no compiler leaves the work out.
    pub(super) fn spin(&mut self) -> FunctionId {
        let state = self.module.globals.add_local(ValType::I64, true, false, ConstExpr::Value(Value::I64(1)));
        let (rounds, x) = (self.module.locals.add(ValType::I32), self.module.locals.add(ValType::I64));
        let mut spin = FunctionBuilder::new(&mut self.module.types, &[ValType::I32], &[]);
        let mut body = spin.func_body();
        body.global_get(state).local_set(x);
        body.loop_(None, |round| {
            let again = round.id();
            // Xorshift.
            for (shift, by) in [(BinaryOp::I64Shl, 13), (BinaryOp::I64ShrU, 7), (BinaryOp::I64Shl, 17)] {
                round.local_get(x).local_get(x).i64_const(by).binop(shift).binop(BinaryOp::I64Xor).local_set(x);
            }
            round.local_get(rounds).i32_const(1).binop(BinaryOp::I32Sub).local_tee(rounds).br_if(again);
        });
        body.local_get(x).global_set(state);
        spin.finish(vec![rounds], &mut self.module.funcs)
    }

    /// `()`: takes a page of memory, writes to it, and forgets it.
    pub(super) fn leak(&mut self) -> FunctionId {
        let (new, place) = (self.module.locals.add(ValType::I32), self.module.locals.add(ValType::I32));
        let mut leak = FunctionBuilder::new(&mut self.module.types, &[], &[]);
        let mut body = leak.func_body();
        body.i32_const(1).memory_grow(self.memory).i32_const(16).binop(BinaryOp::I32Shl).local_set(new);
        body.i32_const(0).local_set(place);
        body.loop_(None, |round| {
            let again = round.id();
            // Pages of the machine are smaller.
            round.local_get(new).local_get(place).binop(BinaryOp::I32Add).i32_const(1);
            round.store(self.memory, StoreKind::I32 { atomic: false }, at_offset(0));
            round.local_get(place).i32_const(4096).binop(BinaryOp::I32Add).local_tee(place);
            round.i32_const(1 << 16).binop(BinaryOp::I32LtU).br_if(again);
        });
        leak.finish(Vec::new(), &mut self.module.funcs)
    }

    /// `() -> i32`: the place of a hostcall's result.
    pub(super) fn scratch(&mut self) -> FunctionId {
        self.place(RESULT)
    }

    fn place(&mut self, offset: i32) -> FunctionId {
        let mut place = FunctionBuilder::new(&mut self.module.types, &[], &[ValType::I32]);
        place.func_body().call(self.at).i32_const(offset).binop(BinaryOp::I32Add);
        place.finish(Vec::new(), &mut self.module.funcs)
    }

    /// Writes bytes at [`TEXT`] and on.
    fn write(&self, body: &mut InstrSeqBuilder<'_>, bytes: &[u8]) {
        for (number, byte) in (0..).zip(bytes) {
            body.call(self.at).i32_const(i32::from(*byte));
            body.store(self.memory, StoreKind::I32_8 { atomic: false }, at_offset(TEXT + number));
        }
    }

    /// `() -> i32`, the place of a text, and `()`, which writes it with a number in hexadecimal between its two parts.
    pub(super) fn text_with_digits(&mut self, parts: [&str; 2], number: GlobalId) -> (FunctionId, FunctionId) {
        let digit = self.module.locals.add(ValType::I32);
        let mut write = FunctionBuilder::new(&mut self.module.types, &[], &[]);
        let mut body = write.func_body();
        self.write(&mut body, format!("{}00000000{}", parts[0], parts[1]).as_bytes());
        for place in 0..8 {
            body.global_get(number).i32_const(28 - 4 * place).binop(BinaryOp::I32ShrU);
            body.i32_const(15).binop(BinaryOp::I32And).local_set(digit);
            body.call(self.at);
            // `0` to `9`, and from there to `a`.
            body.local_get(digit).i32_const(48).binop(BinaryOp::I32Add);
            body.local_get(digit).i32_const(9).binop(BinaryOp::I32GtU).i32_const(39).binop(BinaryOp::I32Mul);
            body.binop(BinaryOp::I32Add);
            let at = TEXT + parts[0].len() as i32 + place;
            body.store(self.memory, StoreKind::I32_8 { atomic: false }, at_offset(at));
        }
        let write = write.finish(Vec::new(), &mut self.module.funcs);
        (self.place(TEXT), write)
    }

    /// `() -> i32`: whether the request's path begins with this, which ends after 8 to 16 bytes.
    pub(super) fn path_begins_with(&mut self, beginning: &str) -> FunctionId {
        let lends = self.lend();
        let get = self.hostcall("proxy_get_header_map_value", &[ValType::I32; 5]);
        let word = |from: usize| i64::from_le_bytes(beginning.as_bytes()[from..from + 8].try_into().unwrap());
        let last = beginning.len() - 8;
        let mut begins = FunctionBuilder::new(&mut self.module.types, &[], &[ValType::I32]);
        let mut body = begins.func_body();
        self.write(&mut body, b":path");
        body.i32_const(1).global_set(lends);
        // Request headers; a name; where to write where the value is, and how long.
        body.i32_const(0).call(self.at).i32_const(TEXT).binop(BinaryOp::I32Add).i32_const(5);
        body.call(self.at).i32_const(DATA).binop(BinaryOp::I32Add);
        body.call(self.at).i32_const(SIZE).binop(BinaryOp::I32Add).call(get);
        body.i32_const(0).global_set(lends);
        body.i32_const(0).binop(BinaryOp::I32Eq);
        body.call(self.at).load(self.memory, LoadKind::I32 { atomic: false }, at_offset(SIZE));
        body.i32_const(beginning.len() as i32).binop(BinaryOp::I32GeU).binop(BinaryOp::I32And);
        for from in [0, last] {
            body.call(self.at).load(self.memory, LoadKind::I64 { atomic: false }, at_offset(BYTES + from as i32));
            body.i64_const(word(from)).binop(BinaryOp::I64Eq).binop(BinaryOp::I32And);
        }
        begins.finish(Vec::new(), &mut self.module.funcs)
    }

    /// While the global is set, the host gets memory at [`BYTES`]: the module itself lends memory to its own hostcalls alone.
    fn lend(&mut self) -> GlobalId {
        if let Some(lends) = self.lends {
            return lends;
        }
        let lends = self.counter();
        let (export, original) = self.exported("proxy_on_memory_allocate");
        let size = self.module.locals.add(ValType::I32);
        let mut wrapper = FunctionBuilder::new(&mut self.module.types, &[ValType::I32], &[ValType::I32]);
        wrapper.func_body().global_get(lends).if_else(
            ValType::I32,
            |own| _ = own.call(self.at).i32_const(BYTES).binop(BinaryOp::I32Add),
            |other| _ = other.local_get(size).call(original),
        );
        let wrapper = wrapper.finish(vec![size], &mut self.module.funcs);
        self.module.exports.get_mut(export).item = ExportItem::Function(wrapper);
        self.lends = Some(lends);
        lends
    }

    /// Imports a function of WASI that Envoy 1.40 has not, and never calls it.
    pub(super) fn import_a_stranger(&mut self) {
        let of = self.module.types.add(&[ValType::I32], &[ValType::I32]);
        let stranger = self.module.add_import_func("wasi_snapshot_preview1", "proc_raise", of).0;
        self.before("proxy_on_request_headers", &[ValType::I32; 3], &[ValType::I32], |body, _| {
            body.i32_const(0).if_else(None, |never| _ = never.i32_const(0).call(stranger).drop(), |_| {});
        });
    }
}
