//! A filter that can be killed, for proxies that offer no other way to kill one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use walrus::ir::BinaryOp;
use walrus::{FunctionBuilder, ValType};

use super::proxy::module_path;
use super::traffic::raw;

/// The built module, whose VM traps at a request of more than 60 headers.
pub(crate) fn mortal_module(folder: &Path) -> PathBuf {
    let mut module = walrus::Module::from_file(module_path()).unwrap();
    let export = module.exports.iter().find(|export| export.name == "proxy_on_request_headers").unwrap();
    let (export, original) = (export.id(), export.item);
    let walrus::ExportItem::Function(original) = original else { unreachable!() };
    let parameters = [ValType::I32; 3];
    let mut wrapper = FunctionBuilder::new(&mut module.types, &parameters, &[ValType::I32]);
    let arguments = parameters.map(|of| module.locals.add(of));
    let mut body = wrapper.func_body();
    // Context, number of headers, end of stream.
    body.local_get(arguments[1]).i32_const(60).binop(BinaryOp::I32GtU);
    body.if_else(
        None,
        |then| {
            then.unreachable();
        },
        |_| {},
    );
    for argument in arguments {
        body.local_get(argument);
    }
    body.call(original);
    let wrapper = wrapper.finish(arguments.to_vec(), &mut module.funcs);
    module.exports.get_mut(export).item = walrus::ExportItem::Function(wrapper);
    let path = folder.join("mortal.wasm");
    module.emit_wasm_file(&path).unwrap();
    path
}

/// The VM of the worker that gets this dies of it.
pub(crate) async fn kill_a_vm(target: SocketAddr) {
    let fill: String = (0..70).map(|number| format!("x-fill-{number}: a\r\n")).collect();
    let request = format!("GET /kill HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fill}\r\n");
    let (status, answer) = raw(target, request.as_bytes()).await;
    assert_eq!(status, Some(503), "{answer}");
}
