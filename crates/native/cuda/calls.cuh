// What the kernels are called with, for the device and for the host alike; `Number` is the format of the maps, on the host void.

constexpr int kMostPaths = 8;

struct NormMomentsCall {
  const Number* x;
  long long rows;
  int columns;
  float* partials;
  unsigned* arrived;
  const float* weight;
  const float* bias;
  float* running_mean;
  float* running_var;
  float* mean;
  float* invstd;
  float* scale;
  float* offset;
  double momentum;
  double eps;
};

struct NormApplyCall {
  const Number* x;
  const Number* residual;
  Number* y;
  // A bit for each number, set where y is above 0; a byte for each vector. May be null.
  unsigned char* bits;
  long long rows;
  int columns;
  // As they are, or where `variance` is given the weight and bias of a norm by running statistics.
  const float* scale;
  const float* offset;
  const float* mean;
  const float* variance;
  double eps;
};

struct NormGradientCall {
  const Number* dy;
  const Number* x;
  const unsigned char* bits;
  Number* dx;
  // dy where the mask passes. May be dy itself, or null.
  Number* masked;
  long long rows;
  int columns;
  // Whether the statistics are the batch's, of which the gradient takes account.
  int training;
  float* partials;
  unsigned* arrived;
  const float* mean;
  const float* invstd;
  const float* scale;
  const float* offset;
  float* dweight;
  float* dbias;
  float* slope;
  float* constant;
};

struct MixCall {
  const Number* x[kMostPaths];
  Number* y[kMostPaths];
  // [B, S, T].
  const float* weights;
  long long vectors;  // of one sample
};

struct MixGradientCall {
  const Number* x[kMostPaths];
  const Number* dy[kMostPaths];
  Number* dx[kMostPaths];
  const float* weights;
  // [B, gridDim.y, S, T].
  float* dweights;
  long long vectors;
};

struct GateInputsCall {
  const Number* x[kMostPaths];
  Number* z[kMostPaths];
  const float* weights;
  // Of one sample, and vectors of a row of a source.
  long long rows;
  unsigned across;
};

struct GateInputsGradientCall {
  const Number* x[kMostPaths];
  const Number* dz[kMostPaths];
  Number* dx[kMostPaths];
  const float* weights;
  // [B, gridDim.y, S, T].
  float* dweights;
  long long rows;
  unsigned across;
};

struct RouteShape {
  int channels;
  int pixels;
  // Whether a channel's pixels lie side by side, not a pixel's channels.
  int planes;
  int hidden;
  // 0 over the targets of each source, 1 over the sources of each target, 2 each weight alone.
  int normalisation;
  float temperature;
};

// weight1 [S, hidden, C], bias1 [S, hidden], weight2 [S, T, hidden], bias2 [S, T].
struct RouteCall {
  const Number* x[kMostPaths];
  Number* y[kMostPaths];
  RouteShape shape;
  const float* weight1;
  const float* bias1;
  const float* weight2;
  const float* bias2;
  // [B, S, C], [B, S, hidden], [B, S, T] twice.
  float* pooled;
  float* hidden;
  float* logits;
  float* weights;
};

struct RouteGradientCall {
  const Number* x[kMostPaths];
  const Number* dy[kMostPaths];
  Number* dx[kMostPaths];
  RouteShape shape;
  const float* weight1;
  const float* weight2;
  const float* hidden;
  const float* weights;
  // What comes from elsewhere, [B, S, T]; each may be null.
  const float* dweights;
  const float* dlogits;
  // The gradients before the temperature, before the ReLU and of the pooled features; these only where nothing is mixed.
  float* passed_logits;
  float* passed_hidden;
  float* passed_pooled;
};
