#include "model/residual.h"

#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include "model/fused_norm.h"
#include "model/fused_pool.h"

namespace headstart {
namespace {

at::Tensor largest(const at::Tensor& x) { return at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1}); }

// ReLU and the maximum in either order are the same values and gradients: of the pooled ones there are fewer.
at::Tensor relu_pool(const at::Tensor& x) {
  if (can_fuse_pool(x)) return fused_relu_pool(x);
  at::Tensor y = largest(x);
  return at::relu_(y);
}

}  // namespace

at::Tensor stem(const ConvolutionNorm& layer, const at::Tensor& x, NormPass pass) {
  if (pass.folded != nullptr) {
    const at::Tensor y = layer(x, pass, Activation::kRelu);  // at no cost, in the convolution's own pass
    return can_fuse_pool(y) ? fused_relu_pool(y) : largest(y);
  }
  if (pass.shared != nullptr || pass.mode == NormMode::kRunningStatistics) return relu_pool(layer(x, pass));
  const at::Tensor y = layer.convolution(x);
  if (can_fuse_norm(y, {}, layer.norm)) return fused_norm_pool(y, layer.norm);
  return relu_pool(layer.norm(y, pass));
}

}  // namespace headstart
