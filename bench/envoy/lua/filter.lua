-- What Envoy's Lua filter can do of this project's job, as fast as Lua can do it; the benchmark compares the two.
--
-- For `envoy.filters.http.lua` of Envoy 1.38 or later, which gave Lua counters and histograms. It gives each request a correlation ID, finds
-- the endpoint of its path, and counts and times the response by method, endpoint and status:
--
--     bench_http_requests_total         counter, labels method, endpoint, status
--     bench_http_request_duration_ms    histogram, labels method, endpoint
--
-- The labels are written into the stat names as `name.label=.=value;.;`, which the bootstrap's `stats_tags` take out again.
--
-- Every worker has a Lua state of its own and loads this script once, so what is local to the file is local to a worker and needs no locks.
-- What costs time here is the calls into Envoy: each of them checks its arguments' types by name. So the script makes as few as it can.

-- Each line is `{METHOD, TEMPLATE}`; `*` is any method. The benchmark puts its table here.
local ROUTES = {} -- routes

local HEADER = "x-correlation-id"
local MAX_ID_LENGTH = 128
local UNKNOWN = "unknown"

-- Stats are in the filter's own scope, so Envoy puts `http.HCM_PREFIX.lua.` in front of these.
local COUNTER = "bench_http_requests_total"
local HISTOGRAM = "bench_http_request_duration_ms"

-- Where the state of a stream is between its request and its response. The filter state is the cheapest place that ends with the stream:
-- dynamic metadata would go through protobuf, and a table here would keep what belongs to streams that never have a response.
local STATE_KEY = "bench.lua"
local STATE_TYPE = "envoy.string"

local find, gsub, match, sub = string.find, string.gsub, string.match, string.sub
local format, max, random = string.format, math.max, math.random

-- Every request makes garbage, two coroutines foremost, while what stays is small. So the collector may wait until the heap has grown tenfold
-- instead of twofold, and marks what stays the less often. That is measurably faster, for a few megabytes a worker.
collectgarbage("setpause", 1000)

---------------------------------------------------------------------------------------------------------------------------------------------
-- Correlation IDs
---------------------------------------------------------------------------------------------------------------------------------------------

-- LuaJIT's generator starts from the same seed in every state. Lua numbers hold 53 bits, so more than 6 bytes would be lost.
local function seed()
  local file = assert(io.open("/dev/urandom", "rb"))
  local value = 0
  for _, byte in ipairs({ string.byte(file:read(6), 1, -1) }) do
    value = value * 256 + byte
  end
  file:close()
  math.randomseed(value)
end
seed()

-- A random UUID: version 4, variant 10. A table of hex digits to put together would be slower, and a large one more for the collector to mark.
local function uuid()
  return format("%08x-%04x-%04x-%04x-%04x%08x", random(0, 0xffffffff), random(0, 0xffff), random(0x4000, 0x4fff), random(0x8000, 0xbfff),
    random(0, 0xffff), random(0, 0xffffffff))
end

-- The pattern says what is allowed: the negated set takes more than twice as long.
local function is_valid(id)
  return id ~= nil and #id <= MAX_ID_LENGTH and find(id, "^[%w._-]+$") ~= nil
end

---------------------------------------------------------------------------------------------------------------------------------------------
-- Endpoints
---------------------------------------------------------------------------------------------------------------------------------------------

-- The methods that may be label values. Clients can send any other token, and must not make series by it.
local METHODS = {}
for _, method in ipairs({ "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "OTHER" }) do
  METHODS[method] = method
end

-- A node of a table's tree: children by a segment's text, by patterns (`v{n}.json`), for any segment (`{id}`), and what takes the whole
-- rest of the path (`{path...}`).
local function new_node()
  return { static = {}, partial = nil, param = nil, rest = nil, label = nil }
end

-- `text{name}text` as an anchored Lua pattern.
local function segment_pattern(segment)
  local escaped = gsub(segment, "[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
  return "^" .. gsub(escaped, "{[^}]*}", ".+") .. "$"
end

local function child_for(node, segment)
  if match(segment, "^{[^{}]*}$") then
    node.param = node.param or new_node()
    return node.param
  elseif not find(segment, "{", 1, true) then
    node.static[segment] = node.static[segment] or new_node()
    return node.static[segment]
  end
  local pattern = segment_pattern(segment)
  node.partial = node.partial or {}
  for _, partial in ipairs(node.partial) do
    if partial.pattern == pattern then
      return partial.node
    end
  end
  local child = new_node()
  table.insert(node.partial, { pattern = pattern, node = child })
  return child
end

-- Templates of one shape share a node, and the first of them gives its label.
local function insert(root, template)
  local node = root
  for segment in string.gmatch(sub(template, 2) .. "/", "([^/]*)/") do
    if find(segment, "^{[^{}]*%.%.%.}$") then
      node.rest = node.rest or template
      return
    end
    node = child_for(node, segment)
  end
  node.label = node.label or template
end

-- The label for the path from `from` on, which is behind a slash. Static before partial before parameter before rest, and back where a branch
-- leads nowhere. No node is visited twice, whatever the path.
local function walk(node, path, from)
  local slash = find(path, "/", from, true)
  local segment = sub(path, from, slash and slash - 1)

  local child = node.static[segment]
  if child then
    local label
    if slash then label = walk(child, path, slash + 1) else label = child.label end
    if label then
      return label
    end
  end

  if segment == "" then
    return slash and node.rest
  end

  if node.partial then
    for _, partial in ipairs(node.partial) do
      if find(segment, partial.pattern) then
        local label
        if slash then label = walk(partial.node, path, slash + 1) else label = partial.node.label end
        if label then
          return label
        end
      end
    end
  end

  child = node.param
  if child then
    local label
    if slash then label = walk(child, path, slash + 1) else label = child.label end
    if label then
      return label
    end
  end
  return node.rest
end

-- The tree of some declarations in their order, and the static ones of their templates by the whole path.
local function compile(...)
  local tree, exact = new_node(), {}
  for _, declared in ipairs({ ... }) do
    for _, route in ipairs(ROUTES) do
      if route[1] == declared then
        insert(tree, route[2])
        if not find(route[2], "{", 1, true) then
          exact[route[2]] = route[2]
        end
      end
    end
  end
  return { tree = tree, exact = exact }
end

-- For each method the routes that declare it. Of two templates of one shape, that for the method comes before that for any. The methods that
-- no route names share one tree: what is kept alive is what the collector has to mark.
local declared_by, shared = {}, compile("*")
for method in pairs(METHODS) do
  declared_by[method] = shared
end
for _, route in ipairs(ROUTES) do
  local method = route[1]
  if declared_by[method] == shared then
    declared_by[method] = compile(method, "*")
  end
end

-- All routes, for a path whose templates do not declare the request's method.
local any_method = new_node()
for _, route in ipairs(ROUTES) do
  insert(any_method, route[2])
end

local function endpoint_of(method, path)
  if not path then
    return UNKNOWN
  end
  local query = find(path, "?", 1, true)
  if query then
    path = sub(path, 1, query - 1)
  end
  local routes = declared_by[method]
  local label = routes.exact[path]
  if label then
    return label
  elseif sub(path, 1, 1) ~= "/" then
    return UNKNOWN
  end
  return walk(routes.tree, path, 2) or walk(any_method, path, 2) or UNKNOWN
end

---------------------------------------------------------------------------------------------------------------------------------------------
-- Metrics
---------------------------------------------------------------------------------------------------------------------------------------------

-- The metrics of one method and endpoint. Envoy's handles for them stay valid as long as the script does; what makes them, `handle:stats()`,
-- does not, so they are made at the first response that needs them. `by_name` is for the response, which finds them by their number as text.
local series_of, by_name, series_count = {}, {}, 0
for method in pairs(METHODS) do
  series_of[method] = {}
end

local function series_for(method, endpoint)
  local series = series_of[method][endpoint]
  if not series then
    series_count = series_count + 1
    series = {
      name = tostring(series_count),
      labels = ".method=.=" .. method .. ";.;endpoint=.=" .. endpoint .. ";.;",
      histogram = nil,
      counters = {},
    }
    series_of[method][endpoint] = series
    by_name[series.name] = series
  end
  return series
end

local function count(handle, series, status, duration_ms)
  local counter, histogram = series.counters[status], series.histogram
  if not counter then
    local label = find(status, "^[1-5]%d%d$") and status or "other"
    counter = handle:stats():counter(COUNTER .. series.labels .. "status=.=" .. label .. ";.;")
    series.counters[status] = counter
  end
  if not histogram then
    histogram = handle:stats():histogram(HISTOGRAM .. series.labels, "ms")
    series.histogram = histogram
  end
  counter:inc()
  histogram:recordValue(duration_ms)
end

---------------------------------------------------------------------------------------------------------------------------------------------
-- Streams
---------------------------------------------------------------------------------------------------------------------------------------------

-- Times are kept as milliseconds since the worker's first request: LuaJIT writes and reads small integers much faster than large ones.
local epoch

function envoy_on_request(handle)
  local now = handle:timestamp()
  epoch = epoch or now

  local headers = handle:headers()
  local id = headers:get(HEADER)
  if not is_valid(id) then
    id = uuid()
    headers:replace(HEADER, id)
  end

  local method = METHODS[headers:get(":method")] or "OTHER"
  local series = series_for(method, endpoint_of(method, headers:get(":path")))
  handle:streamInfo():filterState():set(STATE_KEY, STATE_TYPE, series.name .. " " .. (now - epoch) .. " " .. id)
end

function envoy_on_response(handle)
  local state = handle:streamInfo():filterState():get(STATE_KEY)
  local series, id
  local duration_ms = 0
  if state then
    local name, start
    name, start, id = match(state, "^(%d+) (-?%d+) (.+)$")
    series = by_name[name]
    -- The clock is that of the day, and may have been set back.
    duration_ms = max(handle:timestamp() - epoch - tonumber(start), 0)
  else
    -- Envoy answered before the request came here, because it was malformed or another filter refused it.
    series, id = series_for("OTHER", UNKNOWN), uuid()
  end

  local headers = handle:headers()
  headers:replace(HEADER, id)
  count(handle, series, headers:get(":status"), duration_ms)
end
