;; Answers each request by itself, with 200 and the status of the hostcall that the path names: `/p` sets a property, `/r` asks for
;; randomness, `/c` compresses a text and reads it back, and says 100 more where that gave the same. `/t` traps, anything else is 204.
(module
  (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) ":pathcompressuncompresshello hello hello hello")
  (global $next (mut i32) (i32.const 65536))
  (func (export "ABI"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  ;; The text is at 39, 23 bytes long. Results are told at 8 and 12: null is for those that are not wanted.
  (func $compress (result i32)
    (local $status i32) (local $at i32)
    (local.set $status (call $foreign (i32.const 21) (i32.const 8) (i32.const 39) (i32.const 23) (i32.const 8) (i32.const 12)))
    (if (local.get $status) (then (return (local.get $status))))
    (local.set $status (call $foreign (i32.const 29) (i32.const 10)
      (i32.load (i32.const 8)) (i32.load (i32.const 12)) (i32.const 8) (i32.const 12)))
    (if (local.get $status) (then (return (local.get $status))))
    (if (i32.ne (i32.load (i32.const 12)) (i32.const 23)) (then (return (i32.const 50))))
    (loop $each
      (if (i32.ne (i32.load8_u (i32.add (i32.load (i32.const 8)) (local.get $at)))
                  (i32.load8_u (i32.add (i32.const 39) (local.get $at))))
        (then (return (i32.const 51))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $at) (i32.const 23))))
    (i32.const 100))

  (func (export "proxy_on_request_headers") (param i32 i32 PARAMETERS) (result i32)
    (local $asked i32) (local $status i32)
    (global.set $next (i32.const 65536))
    (drop (call $value (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
    (local.set $asked (i32.load8_u (i32.add (i32.load (i32.const 0)) (i32.const 1))))
    (local.set $status (i32.const 4))
    (if (i32.eq (local.get $asked) (i32.const 116)) (then unreachable)) ;; t
    (if (i32.eq (local.get $asked) (i32.const 112)) ;; p
      (then (local.set $status (call $set_property (i32.const 16) (i32.const 5) (i32.const 16) (i32.const 5)))))
    (if (i32.eq (local.get $asked) (i32.const 114)) ;; r
      (then (local.set $status (call $random (i32.const 8) (i32.const 4)))))
    (if (i32.eq (local.get $asked) (i32.const 99)) (then (local.set $status (call $compress)))) ;; c
    (drop (call $reply (i32.add (i32.const 200) (local.get $status))
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 1)))
