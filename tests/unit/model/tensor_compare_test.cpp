// The comparator must fail where it should: every other test of tensors rests on it.
#include "support/tensor_compare.h"

#include <cmath>
#include <limits>

namespace headstart {
namespace {

using test::tensors_close;
using test::tensors_equal;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

at::Tensor values(std::initializer_list<double> list) { return at::tensor(at::ArrayRef<double>(list), at::kFloat); }

TEST(TensorCompare, AcceptsEqualTensorsWhateverTheirStrides) {
  const at::Tensor tensor = at::arange(24, at::kFloat).view({1, 2, 3, 4});
  EXPECT_TRUE(tensors_equal(tensor.contiguous(at::MemoryFormat::ChannelsLast), tensor));
  EXPECT_TRUE(tensors_equal(values({}), values({})));
}

TEST(TensorCompare, AcceptsWhatIsWithinEitherTolerance) {
  EXPECT_TRUE(tensors_close(values({1.05}), values({1}), {.relative = 0.1}));
  EXPECT_TRUE(tensors_close(values({0.05}), values({0}), {.absolute = 0.1}));
}

TEST(TensorCompare, AcceptsNanAndInfinityAtTheSamePlaces) {
  EXPECT_TRUE(tensors_equal(values({kNan, kInfinity, -kInfinity}), values({kNan, kInfinity, -kInfinity})));
}

TEST(TensorCompare, RefusesAnotherShapeOfTheSameValues) {
  EXPECT_FALSE(tensors_close(values({1, 2}), values({1, 2}).view({2, 1}), {.absolute = 10}));
  EXPECT_FALSE(tensors_close(values({1}), values({1, 1}), {.absolute = 10}));
}

TEST(TensorCompare, RefusesAnotherDtypeOfTheSameValues) {
  EXPECT_FALSE(tensors_close(values({1}), values({1}).to(at::kDouble), {.absolute = 10}));
  EXPECT_FALSE(tensors_close(values({1}), values({1}).to(at::kBFloat16), {.absolute = 10}));
}

TEST(TensorCompare, RefusesNanOnOneSideOnly) {
  EXPECT_FALSE(tensors_close(values({kNan}), values({1}), {.relative = 10, .absolute = 10}));
  EXPECT_FALSE(tensors_close(values({1}), values({kNan}), {.relative = 10, .absolute = 10}));
}

TEST(TensorCompare, RefusesInfinityThatTheOtherSideLacks) {
  EXPECT_FALSE(tensors_close(values({kInfinity}), values({1}), {.relative = 10, .absolute = 10}));
  EXPECT_FALSE(tensors_close(values({1}), values({kInfinity}), {.relative = 10, .absolute = 10}));
  EXPECT_FALSE(tensors_close(values({-kInfinity}), values({kInfinity}), {.relative = 10, .absolute = 10}));
}

TEST(TensorCompare, RefusesWhatIsJustOutsideTheTolerance) {
  EXPECT_FALSE(tensors_close(values({1.2}), values({1}), {.relative = 0.1}));
  EXPECT_FALSE(tensors_close(values({0.2}), values({0}), {.relative = 0.1, .absolute = 0.1}));
  EXPECT_FALSE(tensors_equal(values({std::nextafter(1.0F, 2.0F)}), values({1})));
}

TEST(TensorCompare, NamesTheWorstElement) {
  const auto verdict = tensors_close(values({1, 2, 3, 9}).view({2, 2}), values({1.5, 2, 3, 4}).view({2, 2}), {.absolute = 0.1});
  ASSERT_FALSE(verdict);
  EXPECT_NE(std::string(verdict.message()).find("2 of 4 elements"), std::string::npos) << verdict.message();
  EXPECT_NE(std::string(verdict.message()).find("worst at [1, 1]: 9, expected 4"), std::string::npos) << verdict.message();
}

}  // namespace
}  // namespace headstart
