package emberline;

/** What an alarm is about: the kinds that come first, in the order of {@code schemas/alarm_kinds.py}. */
enum AlarmKind {
    RESIDUAL_CURRENT("剩余电流超限", Quantity.RESIDUAL_CURRENT),
    RESIDUAL_CURRENT_RISE("剩余电流异常升高", Quantity.RESIDUAL_CURRENT),
    TEMPERATURE("温度超限", Quantity.TEMPERATURE),
    TEMPERATURE_RISE("温升过快", Quantity.TEMPERATURE),
    ARC_FAULT("故障电弧", Quantity.ARC_HALF_CYCLES);

    final String label;
    final Quantity quantity;

    AlarmKind(String label, Quantity quantity) {
        this.label = label;
        this.quantity = quantity;
    }
}
