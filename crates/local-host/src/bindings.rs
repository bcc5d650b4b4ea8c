//! Bindings generated from `wit/`.

/// Imports: `fermyon:spin/variables` and `fermyon:spin/key-value`.
pub(crate) mod guest {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "local:host/guest",
        with: { "fermyon:spin/key-value.store": crate::open_store::OpenStore },
        imports: { "fermyon:spin/variables.get": async },
    });
}

/// The export that the cron trigger calls: `handle-cron-event`.
pub(crate) mod cron {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "local:host/cron",
        exports: { default: async },
    });
}
