// The two rankings of pairs, by confusion and by bias, and the names of their figures.

export const KINDS = {
  confusion: {
    title: "Confusion", score: "napvd", measure: "NAPVD", flag: "below_one_sd",
    cut: "below mean − 1 sd", file: "confusion.csv",
    picture: "Distances (NAPVD); the brighter, the nearer",
  },
  bias: {
    title: "Bias", score: "average_bias", measure: "Average bias", flag: "above_one_sd",
    cut: "above mean + 1 sd", file: "bias.csv",
    picture: "Average bias; the brighter, the larger",
  },
};

export const hasBias = ({ pairs }) => pairs.bias.length > 0;
