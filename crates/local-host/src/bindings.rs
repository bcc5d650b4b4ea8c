//! The Rust bindings that `bindgen!` generates from the interfaces in `wit/`.

/// The interfaces that a component imports from this host: `fermyon:spin/variables` and
/// `fermyon:spin/key-value`.
pub(crate) mod guest {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "local:host/guest",
        with: { "fermyon:spin/key-value.store": crate::open_store::OpenStore },
        imports: { "fermyon:spin/variables.get": async },
    });
}

/// The exported function that the cron trigger calls: `handle-cron-event`.
pub(crate) mod cron {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "local:host/cron",
        exports: { default: async },
    });
}
