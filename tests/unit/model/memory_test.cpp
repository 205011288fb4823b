#include "model/memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "support/tensor_compare.h"

namespace headstart {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;

at::Tensor bytes(std::size_t count) { return at::empty({static_cast<std::int64_t>(count)}, at::kByte); }

TEST(LargeTensors, UseWhatEarlierOnesGaveBack) {
  keep_large_tensors();
  release_unused_memory();
  const std::size_t before = kept_memory().in_use;
  const void* first = nullptr;
  {
    const at::Tensor tensor = bytes(8 * kMebi);
    first = tensor.data_ptr();
    EXPECT_EQ(kept_memory().in_use, before + 8 * kMebi);
  }
  EXPECT_EQ(kept_memory().in_use, before);
  EXPECT_GE(kept_memory().unused, 8 * kMebi);
  EXPECT_EQ(bytes(8 * kMebi).data_ptr(), first);
  {
    const at::Tensor half = bytes(4 * kMebi), other_half = bytes(4 * kMebi);  // a hole is divided, and whole again afterwards
    EXPECT_EQ(half.data_ptr(), first);
    EXPECT_EQ(static_cast<const std::byte*>(other_half.data_ptr()), static_cast<const std::byte*>(first) + 4 * kMebi);
  }
  EXPECT_EQ(bytes(8 * kMebi).data_ptr(), first);
  release_unused_memory();
  EXPECT_EQ(kept_memory().unused, 0U);
}

TEST(LargeTensors, SmallOnesComeFromTheCLibrary) {
  keep_large_tensors();
  const std::size_t before = kept_memory().in_use;
  const at::Tensor small = bytes(kMebi - 1);
  EXPECT_EQ(kept_memory().in_use, before);
}

TEST(LargeTensors, DoNotOverlapWhateverTheOrder) {
  keep_large_tensors();
  std::vector<at::Tensor> tensors;
  for (int round = 0; round < 200; ++round) {
    if (round % 3 == 2) tensors.erase(tensors.begin() + (round * 7) % static_cast<int>(tensors.size()));
    tensors.push_back(at::full({static_cast<std::int64_t>(kMebi) + (round * 7919) % 100'000}, round, at::kByte));
  }
  for (const at::Tensor& tensor : tensors) {
    EXPECT_TRUE(test::tensors_equal(tensor, at::full_like(tensor, tensor[0].item<std::uint8_t>())));
  }
}

TEST(LargeTensors, GrowAndMoveBetweenThreads) {
  keep_large_tensors();
  at::Tensor tensor = at::full({static_cast<std::int64_t>(2 * kMebi)}, 3, at::kByte);
  tensor.resize_({static_cast<std::int64_t>(5 * kMebi)});
  EXPECT_EQ(tensor.slice(0, 0, 2 * kMebi).to(at::kLong).sum().item<std::int64_t>(), static_cast<std::int64_t>(6 * kMebi));
  std::thread([taken = std::move(tensor)]() mutable { taken.reset(); }).join();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int round = 0; round < 50; ++round) {
        const at::Tensor own = at::full({static_cast<std::int64_t>(kMebi) + round}, i, at::kByte);
        EXPECT_EQ(own.max().item<std::uint8_t>(), i);
        EXPECT_EQ(own.min().item<std::uint8_t>(), i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace headstart
