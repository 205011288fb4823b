// Sums, gathered bytes and failures among the ranks of a group.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <mutex>

#include "group_ranks.h"
#include "headstart/error.h"
#include "model/layers.h"
#include "support/tensor_compare.h"
#include "tiny_run.h"
#include "train/distributed.h"
#include "train/roll_call.h"

namespace headstart {
namespace {

using test::in_ranks;
using test::message_of;

void expect_nothing_thrown(const std::vector<std::exception_ptr>& thrown) {
  for (std::size_t rank = 0; rank < thrown.size(); ++rank) {
    if (!thrown[rank]) continue;
    try {
      std::rethrow_exception(thrown[rank]);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "rank " << rank << ": " << error.what();
    }
  }
}

TEST(Group, SumsGathersAndBroadcastsOverTheRanks) {
  expect_nothing_thrown(in_ranks(3, [](const Group& group) {
    at::Tensor values = at::full({5, 7}, group.rank() + 0.5, at::kFloat);
    group.sum(values);
    EXPECT_TRUE(at::equal(values, at::full({5, 7}, 4.5F, at::kFloat)));
    std::vector<double> numbers = {1.0, static_cast<double>(group.rank())};
    group.sum(numbers);
    EXPECT_EQ(numbers, (std::vector<double>{3, 3}));
    const std::vector<std::string> all = {"", std::string("zero \0 byte", 11), "\xFF no UTF-8"};
    EXPECT_EQ(group.gather(all[static_cast<std::size_t>(group.rank())]), all);
    EXPECT_EQ(group.gather(""), (std::vector<std::string>{"", "", ""}));
    EXPECT_EQ(group.broadcast(group.leads() ? all[1] : std::string("something else")), all[1]);
    at::Tensor weights = at::full({3}, group.rank() + 1.0, at::kFloat), more = at::full({2, 2}, group.rank() - 7.0, at::kFloat);
    const std::vector<at::Tensor> tensors = {weights, more};
    group.broadcast(tensors);
    EXPECT_TRUE(at::equal(weights, at::ones({3})) && at::equal(more, at::full({2, 2}, -7.0F)));
    EXPECT_TRUE(group.any(group.rank() == 2));
    EXPECT_FALSE(group.any(false));
  }));
}

TEST(Group, SharesFollowEachOtherAndDifferByAtMostOne) {
  expect_nothing_thrown(in_ranks(3, [](const Group& group) {
    for (std::int64_t n = 0; n < 8; ++n) {
      const Share share = group.share(n);
      std::int64_t next = 0;
      for (const std::string& text : group.gather(std::to_string(share.begin) + " " + std::to_string(share.end))) {
        const std::int64_t begin = std::stoll(text), end = std::stoll(text.substr(text.find(' ')));
        EXPECT_EQ(begin, next);
        EXPECT_TRUE(end - begin == n / 3 || end - begin == (n + 2) / 3) << n;
        next = end;
      }
      EXPECT_EQ(next, n);
    }
  }));
}

TEST(Group, GradientsAreSummedAndThoseOfARankWithoutPhotosAreZeros) {
  expect_nothing_thrown(in_ranks(3, [](const Group& group) {
    std::vector<NamedParameter> parameters;
    // More than one bucket; the second parameter is not trained.
    for (const std::int64_t size : {3'000'000, 10, 5'000'000, 4}) {
      parameters.push_back({.name = "p", .tensor = at::zeros({size / 2, 2}), .role = ParameterRole::kWeight, .in_head = false});
      parameters.back().tensor.set_requires_grad(size != 10);
    }
    for (NamedParameter& parameter : parameters) {
      if (group.rank() != 1) parameter.tensor.mutable_grad() = at::full_like(parameter.tensor.detach(), group.rank() + 1);
    }
    group.sum_gradients(parameters);
    for (const NamedParameter& parameter : parameters) {
      if (!parameter.tensor.requires_grad()) continue;
      EXPECT_TRUE(at::equal(parameter.tensor.grad(), at::full_like(parameter.tensor.detach(), 4)));
    }
  }));
}

TEST(Group, AFailureReachesTheOthersWithItsReasonAndIsReportedOnce) {
  std::mutex mutex;
  std::vector<std::string> reported;
  const auto thrown = in_ranks(3, [&](const Group& group) {
    try {
      if (group.rank() == 1) throw Error(ErrorCategory::kData, "photo \xFF.jpg is missing");
      group.any(false);
    } catch (const Error& error) {
      const std::lock_guard lock(mutex);
      reported.push_back(error.what());
      group.fail(error);
    }
  });
  for (int rank = 0; rank < 3; ++rank) {
    ASSERT_TRUE(thrown[static_cast<std::size_t>(rank)]) << rank;
    const auto rethrow = [&] { std::rethrow_exception(thrown[static_cast<std::size_t>(rank)]); };
    const std::string message = message_of(ErrorCategory::kData, rethrow);
    EXPECT_NE(message.find("is missing"), std::string::npos) << message;
    if (rank == 0) {
      EXPECT_NE(message.find("rank 1: photo"), std::string::npos) << message;
    } else {
      EXPECT_THROW(rethrow(), ReportedError);
    }
  }
}

TEST(Group, ARankThatGoesWithoutAWordIsNamed) {
  const auto thrown = in_ranks(3, [](const Group& group) {
    if (group.rank() == 2) throw std::string("no Error: nobody is told");
    group.any(false);
  });
  for (int rank = 0; rank < 2; ++rank) {
    ASSERT_TRUE(thrown[static_cast<std::size_t>(rank)]) << rank;
    const std::string message =
        message_of(ErrorCategory::kNetwork, [&] { std::rethrow_exception(thrown[static_cast<std::size_t>(rank)]); });
    EXPECT_NE(message.find("rank 2 of 3 is gone"), std::string::npos) << message;
  }
}

TEST(Group, AStopReachesEveryRank) {
  expect_nothing_thrown(in_ranks(2, [](const Group& group) {
    const auto stop = group.shared_stop([&group] { return group.rank() == 1; });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!stop() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(stop());
  }));
}

TEST(Group, RanksThatDoNotComeAreNamed) {
  const int port = test::free_loopback_port();
  Distributed first = test::place(0, 3, port), second = test::place(1, 3, port);
  first.join_seconds = 0.5;
  std::thread thread([&] { EXPECT_THROW(Group(second, {}), Error); });
  const std::string message = message_of(ErrorCategory::kNetwork, [&] { const Group group(first, {}); });
  thread.join();
  EXPECT_NE(message.find("rank 2"), std::string::npos) << message;
  EXPECT_NE(message.find("WORLD_SIZE"), std::string::npos) << message;
}

TEST(Group, WaitingForTheOthersCanBeStopped) {
  const Distributed alone = test::place(0, 2, test::free_loopback_port());
  message_of(ErrorCategory::kInterrupted, [&] { const Group group(alone, [] { return true; }); });
  Distributed second = test::place(1, 2, test::free_loopback_port());
  message_of(ErrorCategory::kInterrupted, [&] { const Group group(second, [] { return true; }); });
}

TEST(Group, APortThatIsTakenIsNamed) {
  const int port = test::free_loopback_port();
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  const std::string message = message_of(ErrorCategory::kNetwork, [&] { const Group group(test::place(0, 2, port), {}); });
  close(taken);
  EXPECT_NE(message.find(std::to_string(port)), std::string::npos) << message;
}

// ---- synchronised batch norm

struct NormCase {
  BatchNorm norm;
  at::Tensor x, dy;  // of the whole batch
};

NormCase norm_case(at::ScalarType dtype) {
  constexpr std::int64_t kChannels = 6;
  const auto generated = [](at::IntArrayRef shape, double scale, double offset) {
    const std::int64_t count = c10::multiply_integers(shape);
    return (at::arange(count, at::kFloat).mul(0.7).sin() * scale + offset).reshape(shape);
  };
  NormCase c;
  c.norm.weight = generated({kChannels}, 0.5, 1).set_requires_grad(true);
  c.norm.bias = generated({kChannels}, 0.3, 0.1).set_requires_grad(true);
  c.norm.running_mean = generated({kChannels}, 1, 0);
  c.norm.running_var = generated({kChannels}, 0.5, 1);
  c.x = generated({5, kChannels, 3, 2}, 2, 10).to(dtype);  // a mean five times the deviation
  c.dy = generated({5, kChannels, 3, 2}, 1, 0.2).add(c.x.to(at::kFloat) * 0.1).to(dtype);
  return c;
}

// 5 photos on 3 ranks: 2, 2 and 1; or all on ranks that are not the last.
void expect_as_one_process(at::ScalarType dtype, const std::vector<std::int64_t>& photos, const test::Tolerance& tolerance) {
  NormCase whole = norm_case(dtype);
  const at::Tensor x = whole.x.clone().set_requires_grad(true);
  const at::Tensor y = whole.norm(x.mul(1), NormMode::kBatchStatistics);
  y.backward(whole.dy);
  expect_nothing_thrown(in_ranks(static_cast<int>(photos.size()), [&](const Group& group) {
    NormCase own = norm_case(dtype);
    std::int64_t begin = 0;
    for (int rank = 0; rank < group.rank(); ++rank) begin += photos[static_cast<std::size_t>(rank)];
    const std::int64_t count = photos[static_cast<std::size_t>(group.rank())];
    const at::Tensor share = own.x.narrow(0, begin, count).clone().set_requires_grad(true);
    const SumOverProcesses sum = [&group](at::Tensor& tensor) { group.sum(tensor); };
    const at::Tensor out = own.norm(share.mul(1), {NormMode::kBatchStatistics, &sum});
    out.backward(own.dy.narrow(0, begin, count));
    EXPECT_TRUE(test::tensors_close(out.detach(), y.detach().narrow(0, begin, count), tolerance));
    EXPECT_TRUE(test::tensors_close(share.grad(), x.grad().narrow(0, begin, count), tolerance));
    EXPECT_TRUE(test::tensors_close(own.norm.running_mean, whole.norm.running_mean, tolerance));
    EXPECT_TRUE(test::tensors_close(own.norm.running_var, whole.norm.running_var, tolerance));
    for (auto [mine, all] : {std::pair(own.norm.weight, whole.norm.weight), std::pair(own.norm.bias, whole.norm.bias)}) {
      at::Tensor gradient = mine.grad().clone();
      group.sum(gradient);
      EXPECT_TRUE(test::tensors_close(gradient, all.grad(), tolerance));
    }
  }));
}

TEST(SynchronisedBatchNorm, EqualsThatOfTheWholeBatchForwardsAndBackwards) {
  // Float32 values of about 10 summed in another order: some 1e-6 of them.
  const test::Tolerance tolerance{.relative = 1e-5, .absolute = 1e-5};
  expect_as_one_process(at::kFloat, {2, 2, 1}, tolerance);
  expect_as_one_process(at::kFloat, {4, 1}, tolerance);
  expect_as_one_process(at::kFloat, {3, 2, 0}, tolerance);
}

TEST(SynchronisedBatchNorm, TakesBFloat16AsBatchNormDoes) {
  // Results rounded to 8 bits, once more or less.
  expect_as_one_process(at::kBFloat16, {3, 2}, {.relative = 2e-2, .absolute = 2e-2});
}

}  // namespace
}  // namespace headstart
