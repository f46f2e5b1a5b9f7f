"""The parameters of one picture of an eye.

Lengths are in *units*: 1 unit is 1/160 of the picture's width, that is one pixel of a standard
160 x 120 picture.
"""

from dataclasses import dataclass

FRONTAL_YAW = 190.0
"""Head yaw, in degrees, at which the face looks into the camera."""

UNITS_ACROSS = 160.0
"""Width of the scene in a picture, in units; it does not depend on the size in pixels."""


@dataclass(frozen=True)
class Eye:
    """The parameters of one picture; all are plain numbers.

    Attributes
    ----------
    gaze_angle : float
        Direction, in degrees, in which the iris lies as seen in the picture: 0 to 360,
        counter-clockwise, 0 is the image's right and 90 is up.
    gaze_distance : float
        Distance of the iris from the middle of the eyeball, as a share of the largest: 0 (looking
        into the camera) to 1.
    openness : float
        Distance between the lids in the middle of the eye, in units, for a frontal head: 0
        (closed) to 40 (wide open).
    head_yaw : float
        160 (head turned to the image's right) to 220 (turned to its left), in degrees; 190 is
        frontal.
    head_pitch : float
        -20 (head lowered) to 20 (head raised), in degrees; 0 is frontal. What other
        simulators call 340 is -20 here.
    iris_size : float
        Radius of the iris, in units: 14 to 20.
    pupil_size : float
        Radius of the pupil as a share of the radius of the iris: 0.15 to 0.8.
    iris_paleness : float
        Colour of the iris: 0 (dark brown) over brown, hazel, green and blue to 1 (pale blue).
    skin_tone : float
        0 (pale) to 1 (very dark).
    hair_tone : float
        Colour of the eyebrow and the lashes: 0 (black) to 1 (blond).
    light : float
        Intensity of the lamp: 0.05 (night) to 4 (glaring); 1 is a well-lit picture.
    light_angle : float
        Where the lamp is, in degrees in the plane of the picture: 0 is the image's right, 90 is
        above.
    ambient : float
        Intensity of the light from all sides, as a share of the lamp's: 0.1 to 0.6.
    sky_exposure : float
        Strength of the reflection of the surroundings in the cornea: 0 to 1.
    sky_rotation : float
        Rotation of the surroundings around the head, in degrees: 0 to 360.
    brow_height : float
        Height of the eyebrow above its usual place, in units: -5 to 5.
    brow_thickness : float
        Half the thickness of the eyebrow, in units: 2.5 to 6.
    lash_length : float
        Length of the longest upper lashes, in units: 5 to 13.
    lens_darkness : float
        Share of the light that sunglasses absorb: 0 (no glasses) to 0.97.
    glare_light : float
        Light of a reflection on the camera's lens, in grey levels: 0 (none) to 600.
    fog_share : float
        Share of the light that comes from fog on the lens: 0 (clear) to 0.97.
    blur_radius : float
        Radius of the blur of a picture out of focus, in units: 0 (sharp) to 8.
    bar_width : float
        Width of an upright bar before the eye, in units: 0 (none) to 60.
    """

    gaze_angle: float
    gaze_distance: float
    openness: float = 30.0
    head_yaw: float = FRONTAL_YAW
    head_pitch: float = 0.0
    iris_size: float = 17.0
    pupil_size: float = 0.4
    iris_paleness: float = 0.3
    skin_tone: float = 0.25
    hair_tone: float = 0.2
    light: float = 1.0
    light_angle: float = 80.0
    ambient: float = 0.3
    sky_exposure: float = 0.5
    sky_rotation: float = 0.0
    brow_height: float = 0.0
    brow_thickness: float = 4.0
    lash_length: float = 9.0
    lens_darkness: float = 0.0
    glare_light: float = 0.0
    fog_share: float = 0.0
    blur_radius: float = 0.0
    bar_width: float = 0.0
