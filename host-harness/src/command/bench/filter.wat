;; Six callbacks and fifteen hostcalls a stream: both header maps read whole, one header by name, a filter state set, and every line
;; of them logged, as the usual first example of a filter does.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) ":pathendpoint")
  (global $next (mut i32) (i32.const 65536))
  (func (export "proxy_abi_version_0_2_1"))

  ;; Given back as a whole when a stream is deleted.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $at))

  ;; A line for each of the first `$most` pairs: that many name lengths stand at the beginning, after their number.
  (func $log_pairs (param $map i32) (param $most i32)
    (local $at i32) (local $index i32) (local $text i32)
    (drop (call $pairs (local.get $map) (i32.const 0) (i32.const 4)))
    (local.set $at (i32.load (i32.const 0)))
    (local.set $text (i32.add (i32.add (local.get $at) (i32.const 4)) (i32.mul (i32.load (local.get $at)) (i32.const 8))))
    (loop $each
      (drop (call $log (i32.const 2) (local.get $text) (i32.load (i32.add (local.get $at) (i32.add (i32.const 4) (i32.mul (local.get $index) (i32.const 8)))))))
      (local.set $text (i32.add (local.get $text) (i32.add (i32.const 2) (i32.add
        (i32.load (i32.add (local.get $at) (i32.add (i32.const 4) (i32.mul (local.get $index) (i32.const 8)))))
        (i32.load (i32.add (local.get $at) (i32.add (i32.const 8) (i32.mul (local.get $index) (i32.const 8)))))))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $index) (local.get $most)))))

  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $log_pairs (i32.const 0) (i32.const 8))
    (drop (call $value (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
    (drop (call $set_property (i32.const 21) (i32.const 8) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $log_pairs (i32.const 2) (i32.const 2))
    (i32.const 0))
  (func (export "proxy_on_log") (param i32)
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 13))))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_delete") (param i32)
    (global.set $next (i32.const 65536))))
