//! Every alert, caused, fired, delivered and resolved, with the real programs; and what the rules say of real traffic beside an independent account of it.

mod backing;
mod figures;
mod formats;
mod istio;
mod matrix;
mod queries;
mod scene;
mod up;
