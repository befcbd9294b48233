//! The plugin: reads its configuration and makes a context for each stream.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::config::{Config, Kind};
use crate::naive::Naive;
use crate::routes::Routes;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root { routes: None }));
}}

struct Root {
    /// The routes of the filter that does the job; the one that does nothing has none.
    routes: Option<Rc<Routes>>,
}

impl Root {
    fn configure(&mut self) -> Result<(), String> {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        let config = Config::parse(&String::from_utf8_lossy(&bytes))?;
        self.routes = match config.kind {
            Kind::Empty => None,
            Kind::Naive => Some(Rc::new(Routes::new(&config.routes)?)),
        };
        Ok(())
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let done = self.configure();
        if let Err(mistake) = &done {
            // There is no other place to say it: the proxy itself only learns that it failed.
            let _ = hostcalls::log(LogLevel::Error, mistake);
        }
        done.is_ok()
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(match &self.routes {
            None => Box::new(Empty),
            Some(routes) => Box::new(Naive::new(Rc::clone(routes))),
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// A stream of the filter that does nothing.
struct Empty;

impl Context for Empty {}
impl HttpContext for Empty {}
