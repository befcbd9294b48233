// A filter with the AssemblyScript SDK. It does what the suite beside it says.
export * from "@solo-io/proxy-runtime/proxy";
import {
  Context, Counter, FilterHeadersStatusValues, LogLevelValues, RootContext, log, registerRootContext, stream_context,
} from "@solo-io/proxy-runtime";

class Root extends RootContext {
  seen: Counter = new Counter("seen");

  createContext(id: u32): Context {
    return new Stream(id, this);
  }
}

class Stream extends Context {
  root: Root;

  constructor(id: u32, root: Root) {
    super(id, root);
    this.root = root;
  }

  onRequestHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    log(LogLevelValues.info, "asked for " + stream_context.headers.request.get(":path"));
    this.root.seen.increment(1);
    stream_context.headers.request.add("x-filter", this.root.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("x-filter", this.root.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32) => new Root(id), "filter");
