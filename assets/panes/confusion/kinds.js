// The two rankings of pairs, by confusion and by bias, and what their figures are called.

export const KINDS = {
  confusion: {
    title: "Confusion", score: "napvd", said: "NAPVD", flag: "below_one_sd",
    cut: "below mean − 1 sd", file: "confusion.csv",
    picture: "Distances (NAPVD); the brighter, the nearer",
  },
  bias: {
    title: "Bias", score: "average_bias", said: "Average bias", flag: "above_one_sd",
    cut: "above mean + 1 sd", file: "bias.csv",
    picture: "Average bias; the brighter, the larger",
  },
};

export const hasBias = ({ pairs }) => pairs.bias.length > 0;
