// Photos that occur more than once: equal bytes, and equal to the eye.
//
// Thread-safety: pure functions; `same_content` is called from the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/perceptual_hash.h"
#include "headstart/dataset.h"

namespace headstart {

// What the audit keeps of a photo.
struct PhotoPrint {
  std::uint64_t content = 0;  // fast_hash of the bytes
  std::uint64_t bytes = 0;
  Look look;
  ImageSize size;  // as shown
  bool readable = false;
};

using Groups = std::vector<std::vector<std::uint32_t>>;  // indices; each group sorted, the groups by their first index

// Equal bytes: candidates by hash and length, confirmed by `same_content`. Unreadable photos count as well.
Groups exact_groups(const std::vector<PhotoPrint>& prints, const std::function<bool(std::uint32_t, std::uint32_t)>& same_content);

// Readable photos that are equal to the eye, without the groups that are nothing but copies (those of `exact`).
Groups near_groups(const std::vector<PhotoPrint>& prints, const Groups& exact);

}  // namespace headstart
