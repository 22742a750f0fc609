#include "colours.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace arrayfs {
namespace {

using Channels = std::array<double, 3>;

// Polynomials that match the viridis of matplotlib (CC0) to a few parts in a thousand; by Matt
// Zucker, shadertoy.com/view/WlfXRN (CC0).
constexpr std::array<Channels, 7> kViridis{{
    {0.2777273272234177, 0.005407344544966578, 0.3340998053353061},
    {0.1050930431085774, 1.404613529898575, 1.384590162594685},
    {-0.3308618287255563, 0.214847559468213, 0.09509516302823659},
    {-4.634230498983486, -5.799100973351585, -19.33244095627987},
    {6.228269936347081, 14.17993336680509, 56.69055260068105},
    {4.776384997670288, -13.74514537774601, -65.35303263337234},
    {-5.435455855934631, 4.645852612178535, 26.3124352495832},
}};

// RdBu of colorbrewer2.org (Apache 2.0), blue for what is below zero.
constexpr std::array<Channels, 11> kDiverging{{
    {5, 48, 97},
    {33, 102, 172},
    {67, 147, 195},
    {146, 197, 222},
    {209, 229, 240},
    {247, 247, 247},
    {253, 219, 199},
    {244, 165, 130},
    {214, 96, 77},
    {178, 24, 43},
    {103, 0, 31},
}};

std::uint8_t channel(double value) {
  return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

Colour viridis(double t) {
  Channels sum{};
  for (std::size_t power = kViridis.size(); power-- > 0;) {
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] = sum[i] * t + kViridis[power][i];
    }
  }
  return {channel(sum[0] * 255), channel(sum[1] * 255), channel(sum[2] * 255)};
}

Colour diverging(double t) {
  const double place = t * static_cast<double>(kDiverging.size() - 1);
  const auto at = std::min(static_cast<std::size_t>(place), kDiverging.size() - 2);
  const double share = place - static_cast<double>(at);
  Channels mixed;
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    mixed[i] = kDiverging[at][i] * (1 - share) + kDiverging[at + 1][i] * share;
  }
  return {channel(mixed[0]), channel(mixed[1]), channel(mixed[2])};
}

}  // namespace

ColourScale ColourScale::of(double min, double max) {
  constexpr double kMaxSkew = 0.25;
  const double reach = std::max(std::abs(min), std::abs(max));
  if (min < 0 && max > 0 && std::abs(std::abs(min) - std::abs(max)) <= kMaxSkew * reach) {
    return {-reach, reach, true};
  }
  return {min, max, false};
}

Colour ColourScale::colour(double value) const {
  // Halves, since the difference of two doubles need not be one.
  const double width = high / 2 - low / 2;
  const double t = width > 0 ? std::clamp((value / 2 - low / 2) / width, 0.0, 1.0) : 0.5;
  return diverging ? arrayfs::diverging(t) : viridis(t);
}

}  // namespace arrayfs
