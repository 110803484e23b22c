#pragma once

namespace flow {

/// How a thread waits for a GPU.
///   spin   It polls. It goes on as soon as the GPU is done, and keeps one core busy until then.
///   block  It sleeps. The core is free, and the thread goes on when interrupt and scheduler have woken it.
enum class Wait { spin, block };

constexpr const char* name_of(Wait wait) { return wait == Wait::spin ? "spin" : "block"; }

/// The default for a GPU. Boards with an integrated GPU have few cores, and compute a frame for many times the delay of
/// a wake-up. A frame of a larger GPU takes about a millisecond, of which a wake-up is a noticeable part.
constexpr Wait default_wait(bool integrated) { return integrated ? Wait::block : Wait::spin; }

}  // namespace flow
