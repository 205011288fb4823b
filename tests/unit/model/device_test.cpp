// Devices, precision, and the way from pixels to the network's input.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "headstart/error.h"
#include "model/network.h"
#include "support/tensor_compare.h"

namespace headstart {
namespace {

std::vector<std::uint8_t> pixels(int count, int side) {
  std::vector<std::uint8_t> values(static_cast<std::size_t>(count) * static_cast<std::size_t>(side * side * 3));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * 7 % 256);
  return values;
}

// What torchvision's ToTensor and Normalize give for the pixels.
at::Tensor expected_input(const std::vector<std::uint8_t>& values, int count, const Preprocessing& preprocessing) {
  const int side = preprocessing.crop_size;
  const at::Tensor rgb = at::tensor(values, at::kByte).view({count, side, side, 3}).permute({0, 3, 1, 2}).to(at::kFloat);
  const at::Tensor mean = at::tensor(at::ArrayRef<float>(preprocessing.mean)).view({3, 1, 1});
  const at::Tensor deviation = at::tensor(at::ArrayRef<float>(preprocessing.std)).view({3, 1, 1});
  return (rgb / 255 - mean) / deviation;
}

class ToInput : public ::testing::TestWithParam<at::DeviceType> {
 protected:
  void SetUp() override {
    if (GetParam() == at::kCUDA && !at::globalContext().hasCUDA()) GTEST_SKIP() << "skipped: no CUDA device is there";
  }
};

TEST_P(ToInput, NormalisesIntoChannelsLastMemory) {
  const Preprocessing preprocessing = {.crop_size = 17};
  const std::vector<std::uint8_t> values = pixels(5, 17);
  const at::Tensor input = to_input(values, 5, preprocessing, Precision::kFloat32, GetParam());
  EXPECT_EQ(input.device().type(), GetParam());
  EXPECT_TRUE(input.is_contiguous(at::MemoryFormat::ChannelsLast));
  // Values up to 2.7 in float32, computed in another order.
  EXPECT_TRUE(test::tensors_close(input, expected_input(values, 5, preprocessing), {.absolute = 1e-6}));
}

TEST_P(ToInput, RoundsToBFloat16) {
  const Preprocessing preprocessing = {.crop_size = 16, .mean = {0.498F, 0.498F, 0.498F}, .std = {0.502F, 0.502F, 0.502F}};
  const std::vector<std::uint8_t> values = pixels(3, 16);
  const at::Tensor input = to_input(values, 3, preprocessing, Precision::kBFloat16, GetParam());
  EXPECT_EQ(input.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(input.is_contiguous(at::MemoryFormat::ChannelsLast));
  // Half a unit in the last of eight bits.
  EXPECT_TRUE(
      test::tensors_close(input.to(at::kFloat), expected_input(values, 3, preprocessing), {.relative = 1.01 / 256, .absolute = 1e-6}));
}

INSTANTIATE_TEST_SUITE_P(Devices, ToInput, ::testing::Values(at::kCPU, at::kCUDA),
                         [](const auto& test) { return c10::DeviceTypeName(test.param); });

TEST(ToInputSizes, RefusesAnotherNumberOfBytes) {
  const std::vector<std::uint8_t> values = pixels(2, 8);
  EXPECT_THROW(to_input(values, 3, {.crop_size = 8}, Precision::kFloat32, at::kCPU), Error);
  EXPECT_THROW(to_input(values, 0, {.crop_size = 8}, Precision::kFloat32, at::kCPU), Error);
  EXPECT_NO_THROW(to_input(values, 2, {.crop_size = 8}, Precision::kFloat32, at::kCPU));
}

TEST(ResolveDevice, AutoIsTheFirstCudaDeviceElseTheCpu) {
  EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(resolve_device("auto").is_cuda(), at::globalContext().hasCUDA());
}

TEST(ResolveDevice, NamesWhatIsThereWhenTheDeviceIsNot) {
  for (const char* name : {"cuda:99", "gpu", "", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999"}) {
    try {
      resolve_device(name);
      ADD_FAILURE() << "'" << name << "' was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kDevice);
      EXPECT_NE(std::string(error.what()).find("'" + std::string(name) + "'"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("here "), std::string::npos) << error.what();
    }
  }
}

TEST(ResolvePrecision, KeepsWhatWasAskedForAndDecidesAuto) {
  EXPECT_EQ(resolve_precision(Precision::kFloat32, at::kCPU), Precision::kFloat32);
  EXPECT_EQ(resolve_precision(Precision::kBFloat16, at::kCPU), Precision::kBFloat16);
  EXPECT_NE(resolve_precision(Precision::kAuto, at::kCPU), Precision::kAuto);
}

TEST(Conversion, EveryDtypeMakesTheRoundTrip) {
  for (const at::ScalarType dtype :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar, at::kByte, at::kBool}) {
    const at::Tensor tensor = at::arange(6).view({2, 3}).to(dtype);
    EXPECT_TRUE(test::tensors_equal(to_engine(to_host(tensor)), tensor)) << c10::toString(dtype);
    EXPECT_TRUE(test::tensors_equal(to_engine(to_host(tensor.t())), tensor.t())) << c10::toString(dtype) << " transposed";
  }
  EXPECT_TRUE(test::tensors_equal(to_engine(to_host(at::zeros({0, 4}))), at::zeros({0, 4})));
}

TEST(Conversion, RefusesBytesThatDoNotMatchTheShape) {
  HostTensor tensor = to_host(at::zeros({2, 3}));
  tensor.shape = {2, 4};
  EXPECT_THROW(to_engine(tensor), Error);
  tensor.shape = {std::int64_t{1} << 62, std::int64_t{1} << 62, 6};
  EXPECT_THROW(to_engine(tensor), Error);
  tensor.shape = {-2, -3};
  EXPECT_THROW(to_engine(tensor), Error);
}

}  // namespace
}  // namespace headstart
